"""Several resources at once, all or nothing."""
