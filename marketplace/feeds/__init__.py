"""The secret addresses of calendars that can be subscribed to."""
