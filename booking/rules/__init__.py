"""What a publisher asks of a booking, in versions."""
