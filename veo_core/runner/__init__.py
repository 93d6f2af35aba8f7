"""The embedded engine: executes compiled Kubeflow pipelines without Docker, cloud or kfp."""
