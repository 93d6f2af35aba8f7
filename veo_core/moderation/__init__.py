"""What may be asked of a generator and what may be shown: the filter in front of it, and attacks on it."""
