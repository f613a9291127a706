"""A QR code as geometry that a page draws itself: nothing is fetched, nothing is written anywhere."""

from dataclasses import dataclass, field

import segno

QUIET = 4
"""Modules that stay light around the code, as its standard asks."""


@dataclass(frozen=True, slots=True)
class Code:
    """Dark runs as a path on a plane of `size` x `size`. Not shown in logs: what it says may be a secret."""

    size: int
    path: str = field(repr=False)


def code_of(text: str) -> Code:
    """Read by any camera, with a seventh of it damaged.

    >>> made = code_of("https://example.com")
    >>> made.size, made.path[:24], "M4" in repr(made)
    (33, 'M4 4h7v1h-7zM12 4h1v1h-1', False)
    """
    matrix = segno.make(text, error="m", micro=False, boost_error=False).matrix
    return Code(len(matrix) + 2 * QUIET, "".join(_run(x, y, width) for y, row in enumerate(matrix) for x, width in _runs(row)))


def _runs(row: bytearray) -> list[tuple[int, int]]:
    """Where dark modules begin, and how many follow."""
    found: list[tuple[int, int]] = []
    for x, dark in enumerate(row):
        if dark and x and row[x - 1]:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        elif dark:
            found.append((x, 1))
    return found


def _run(x: int, y: int, width: int) -> str:
    return f"M{x + QUIET} {y + QUIET}h{width}v1h-{width}z"
