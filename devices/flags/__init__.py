"""Open questions about what a meter said, with their evidence, for a person to look at. Nothing is removed because of one."""
