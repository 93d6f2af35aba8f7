"""From training shards to batches: reading, bucketing and loading."""
