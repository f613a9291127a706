"""Requests that came to nothing, with their reasons."""
