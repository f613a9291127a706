"""Being there: check-in, and leaving before the time is up."""
