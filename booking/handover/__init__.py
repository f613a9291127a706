"""Handing a booking over to a colleague."""
