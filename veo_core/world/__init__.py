"""The procedural film studio: scenes whose truth is known, detectors that never read it, a judge server."""
