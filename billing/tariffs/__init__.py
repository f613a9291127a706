"""Prices by condition: rules and which of them decides, where billed minutes lie, taxes, rules of real institutions.

Owns what a policy's `tariff` and `tax` mean. Stores nothing: they are part of the policy, which is versioned and frozen with a
booking.
"""
