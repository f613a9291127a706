"""A use that goes on beyond its end, while the next one is about to begin."""
