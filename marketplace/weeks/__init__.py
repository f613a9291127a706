"""On which day a person's calendars begin their weeks."""
