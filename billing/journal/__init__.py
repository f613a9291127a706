"""The journal: entries are posted once for their cause and never change."""
