"""Benchmarks that need an accelerator; see benchmarks/gpu.md."""
