"""Meters that measure part of what another one measures: what both count is counted once."""
