"""What a run did, as people read it."""
