"""A run as OpenLineage events."""
