"""Devices, their credentials and thresholds."""
