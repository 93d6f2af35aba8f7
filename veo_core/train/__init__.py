"""The training loop and the training stages."""
