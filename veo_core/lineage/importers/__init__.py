"""Runs of Kubeflow Pipelines and Vertex AI Pipelines, as records of the format that runs here have."""
