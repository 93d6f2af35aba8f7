"""Typed records: what stages read and write."""
