"""What provider and customer sign of a booking where telemetry was silent, each statement with a document."""
