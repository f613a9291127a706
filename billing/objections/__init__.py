"""What a firm objects to in a statement, line by line, and what the institution answers."""
