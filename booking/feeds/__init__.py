"""What a calendar of bookings shows."""
