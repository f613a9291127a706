"""A database's copy in a folder, made while it is in use, and a database made from such a folder, proven whole each time."""
