"""People whose time is claimed with a machine's."""
