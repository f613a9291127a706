"""Waiting lists: who wants to be told when time of a resource is free, and the timed offers made to them."""
