"""What each page is handed: frozen dataclasses, one module a page, no logic. Instants are UTC; templates show them in `zone`."""
