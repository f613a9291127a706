"""Repeated bookings."""
