"""The curation stages, from collected sources to training shards."""
