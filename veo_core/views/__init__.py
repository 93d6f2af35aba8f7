"""Building blocks of what stages show in the pages of Kubeflow Pipelines and Vertex AI."""
