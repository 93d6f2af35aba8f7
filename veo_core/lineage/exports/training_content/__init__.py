"""The public summary of training content that the EU AI Act asks of providers of models."""
