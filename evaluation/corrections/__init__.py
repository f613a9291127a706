"""Discrepancies under published figures, and the revisions that answer them."""
