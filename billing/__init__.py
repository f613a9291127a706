"""What is owed and paid. Owns policies, quotes, statements, the journal and payments; reads devices and below."""
