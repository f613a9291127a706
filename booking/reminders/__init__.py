"""Reminders before a booking begins."""
