"""Busy time that calendars kept elsewhere say of a resource: read, fetched, claimed beside its bookings."""
