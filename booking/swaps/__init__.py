"""Two bookings that exchange their places."""
