"""What can be had across owners: the first slot of a length on many resources at once."""
