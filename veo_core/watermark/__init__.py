"""Marks in picture, sound and noise of generated clips, by which they can be found again."""
