"""Raw messages of long sealed days, moved from the database into Parquet files, and read back from there as they were."""
