"""Turns what the floors know into what the pages show: joins, names in the reader's language, no rules."""
