"""What a run's record tells, in the formats of others."""

FORMATS = ("openlineage", "croissant", "ml-bom", "model-card", "training-content")
