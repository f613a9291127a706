"""Cancellation fees given back in proportion to the time that others took instead."""
