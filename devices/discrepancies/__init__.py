"""What bills and figures rest on stays as it is; what late messages make of it is kept beside it, and read in its place."""
