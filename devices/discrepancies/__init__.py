"""What bills and published figures rest on stays as it is; what late messages would make of it is kept beside it, and read in its place."""
