"""Asking Sparkplug nodes for a new birth."""
