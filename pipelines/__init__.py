"""The pipeline: one builder, its targets, the compiled IR and the presets."""
