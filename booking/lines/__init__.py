"""A line and its stations."""
