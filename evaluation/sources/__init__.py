"""Facts of an evaluation out of what the floors below store."""
