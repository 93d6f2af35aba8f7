"""Registered models: records that can be found, verified and loaded again."""
