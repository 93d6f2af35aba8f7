"""Prompt filter, output judge, and the gate in front of registration."""
