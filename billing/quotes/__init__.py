"""What a booking was promised to cost at most."""
