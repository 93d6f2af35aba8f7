"""One Kubeflow component a stage: typed interface, command, resource pool. No logic."""
