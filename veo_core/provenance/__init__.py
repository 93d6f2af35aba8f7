"""Signed statements in generated clips of where they come from (C2PA)."""
