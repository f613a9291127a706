"""A person's messages in the app, and how they want to be told by mail."""
