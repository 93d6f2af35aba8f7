"""Sending the pipeline to Vertex AI Pipelines and to Kubeflow Pipelines, and following it to its end."""
