"""Where the pipeline runs: images, placement and launchers."""
