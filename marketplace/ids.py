"""Opaque ids: a prefix that tells the kind, then 20 characters that sort by creation.

Across processes to the millisecond; within one process exactly, so that what was made first is listed first.
"""

import os
import secrets
import threading

from marketplace import clock

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u
_PAIRS = [one + other for one in _ALPHABET for other in _ALPHABET]


OPERATOR = "opr"
"""The prefix of a resource that is an operator's time: claimed with machines, never listed."""


def is_operator(resource_id: str) -> bool:
    """
    >>> is_operator("opr_01k"), is_operator("res_01k")
    (True, False)
    """
    return resource_id.startswith(f"{OPERATOR}_")


_RANDOM_BITS = 52
_STEP_BYTES = 5
"""What a second id of the same millisecond lies above the first by, at most: still a number nobody guesses."""


class _Ascending:
    """Numbers of milliseconds and random bits; of one millisecond, each above the one before."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def after(self, milliseconds: int) -> int:
        with self._lock:
            if milliseconds <= self._last >> _RANDOM_BITS <= milliseconds + 1:
                self._last += 1 + int.from_bytes(os.urandom(_STEP_BYTES))
            else:
                self._last = (milliseconds << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)
            return self._last


_numbers = _Ascending()


def new_id(prefix: str) -> str:
    """`prefix_` and 100 bits (milliseconds, then random) in base 32."""
    number = _numbers.after(int(clock.now().timestamp() * 1000))
    digits = [_PAIRS[(number >> shift) & 1023] for shift in range(90, -1, -10)]
    return f"{prefix}_{''.join(digits)}"
