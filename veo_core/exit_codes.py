"""Exit codes of a stage."""

UNEXPECTED = 1
USAGE = 2
"""Bad input: the same command ends the same way again."""
RETRY = 143
"""The stage was asked to stop and has saved its state: the same command goes on from there."""
