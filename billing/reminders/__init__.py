"""Reminders before silence accepts a statement."""
