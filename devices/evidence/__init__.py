"""Evidence that anyone can check: what devices said, day by day, under one signature a day."""
