"""Vouchers and tapering subsidies: what programmes pay of a booking, by rules and grants that are stored."""
