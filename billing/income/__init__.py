"""What institutions have billed and what has come in."""
