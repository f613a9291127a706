"""Who may use what, when. Owns rules, claims and bookings; reads marketplace."""
