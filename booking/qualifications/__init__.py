"""What people are trained for, with a level and an expiry."""
