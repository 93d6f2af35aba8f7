"""The mark against attacks: `python -m benchmarks.watermark`."""
