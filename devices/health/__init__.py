"""How a meter does: how often it speaks, whether its clock is right, how much of the time it was seen; one of them and all of
them. Writes nothing. Reads messages, segments, flags and certificates."""
