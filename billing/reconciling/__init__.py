"""The ledger against the provider's own books, days closed for good, and runs of every check.

Owns what was seen of the provider's account, findings, closed days and runs; reads journal, payments and calls.
"""
