"""Thresholds by measuring: a while with the machine idle, a while with it at work, and what follows from the powers of both."""
