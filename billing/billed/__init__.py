"""What was billed, by whom and to whom, and what of it has come in."""
