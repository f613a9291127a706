"""Under which keys things were taken in from files, so that the same file makes nothing twice."""
