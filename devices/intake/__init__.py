"""From the broker into the tables: what a batch of the ingest leaves behind."""
