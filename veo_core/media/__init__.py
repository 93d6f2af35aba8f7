"""Decoding, encoding and measuring media files. PyAV is the only decoder and encoder."""
