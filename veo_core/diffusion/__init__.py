"""Objectives, guidance and samplers."""
