"""A booking to which nobody has come: no check-in in time, and the equipment was seen to stand idle."""
