"""Time a resource cannot be used."""
