"""Back-to-back bookings of one customer."""
