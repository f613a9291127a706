"""People, their roles, how they sign in; the institutions and organisations they belong to."""
