"""The autoencoders, the text encoder and the joint audio-video transformer."""
