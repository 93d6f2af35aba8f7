"""Models in the layout of diffusers, and the pipeline that loads it."""
