"""Executing a recorded run again."""
