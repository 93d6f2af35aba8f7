"""Stages over several devices and machines of Vertex AI, Kubeflow Trainer and TPU slices."""
