"""How well, how fast and how safely curation works: `python -m benchmarks.curate`."""
