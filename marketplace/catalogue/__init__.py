"""Listings: lines, centres and instruments that institutions open."""
