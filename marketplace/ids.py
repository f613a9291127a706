"""Opaque ids: a prefix that tells the kind, then 20 characters that sort by creation to the millisecond."""

import secrets

from marketplace import clock

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u


OPERATOR = "opr"
"""The prefix of a resource that is an operator's time: claimed with machines, never listed."""


def is_operator(resource_id: str) -> bool:
    """
    >>> is_operator("opr_01k"), is_operator("res_01k")
    (True, False)
    """
    return resource_id.startswith(f"{OPERATOR}_")


def new_id(prefix: str) -> str:
    """`prefix_` and 100 bits (milliseconds, then random) in base 32."""
    number = (int(clock.now().timestamp() * 1000) << 52) | secrets.randbits(52)
    digits = [_ALPHABET[(number >> shift) & 31] for shift in range(95, -1, -5)]
    return f"{prefix}_{''.join(digits)}"
