"""What was shared, by published formula. Owns schemes, packs and published figures; reads billing and below."""
