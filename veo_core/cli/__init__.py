"""The command `veo`."""
