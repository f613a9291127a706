"""Payments at the provider: what is wanted of them, and what was last read."""
