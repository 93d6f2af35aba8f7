"""Benchmarks of the model: what it learns, how fast, and each choice against its alternative."""
