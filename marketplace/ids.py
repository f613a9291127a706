"""Opaque ids: a prefix that tells the kind, then 20 characters that sort by creation.

Across processes to the millisecond; within one process exactly, so that what was made first is listed first.
"""

import os
import threading
from functools import lru_cache

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
_RANDOM_BYTES, _SPARE_BITS = 7, 4
_DRAWN_BYTES = 1024
_TAIL = (1 << 50) - 1
_STEP_BYTES = 5
"""What a second id of the same millisecond lies above the first by, at most: still a number nobody guesses."""


class _Ascending:
    """Numbers of milliseconds and random bits; of one millisecond, each above the one before."""

    def __init__(self) -> None:
        self._last = 0
        self.forget()

    def forget(self) -> None:
        """A process that goes two ways must not draw the same numbers on both."""
        self._lock = threading.Lock()
        self._drawn, self._at = b"", 0

    def next(self) -> int:
        with self._lock:
            milliseconds = int(clock.now().timestamp() * 1000)
            if milliseconds <= self._last >> _RANDOM_BITS <= milliseconds + 1:
                self._last += 1 + self._draw(_STEP_BYTES)
            else:
                self._last = (milliseconds << _RANDOM_BITS) | self._draw(_RANDOM_BYTES) >> _SPARE_BITS
            return self._last

    def _draw(self, size: int) -> int:
        """The system is asked for many bytes at once: that takes longer than all the rest."""
        if self._at + size > len(self._drawn):
            self._drawn, self._at = os.urandom(_DRAWN_BYTES), 0
        self._at += size
        return int.from_bytes(self._drawn[self._at - size : self._at])


_numbers = _Ascending()
os.register_at_fork(after_in_child=_numbers.forget)


def new_id(prefix: str) -> str:
    """`prefix_` and 100 bits (milliseconds, then random) in base 32."""
    number = _numbers.next()
    return f"{prefix}_{_head(number >> 50)}{_text(number & _TAIL)}"


def _text(half: int) -> str:
    pairs = _PAIRS
    return pairs[half >> 40] + pairs[half >> 30 & 1023] + pairs[half >> 20 & 1023] + pairs[half >> 10 & 1023] + pairs[half & 1023]


_head = lru_cache(maxsize=1)(_text)
"""The same for all ids of about one millisecond."""
