"""Prints which process it is, and of how many."""

import os

print(os.getpid(), os.environ.get("RANK", "none"), os.environ.get("WORLD_SIZE", "none"))
