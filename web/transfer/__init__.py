"""Files in and out: rows are taken in by the same actions as pages and programs use, and given out to be taken in elsewhere."""
