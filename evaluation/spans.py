"""Sets of whole seconds as sorted, disjoint, half-open spans; every operation is one pass over its operands.

A year of telemetry is thousands of spans per unit, so these are plain integers, not `Slot`s.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

Span = tuple[int, int]
"""`[start, end)` in seconds since 1970-01-01T00:00:00Z."""


def union(spans: Iterable[Span]) -> list[Span]:
    """The same seconds, sorted and disjoint; touching spans are joined, empty ones dropped.

    >>> union([(5, 9), (0, 3), (3, 4), (7, 7)])
    [(0, 4), (5, 9)]
    """
    joined: list[Span] = []
    low = high = 0
    begun = False
    for start, end in sorted(spans):
        if end <= start:
            continue
        if begun and start <= high:
            high = max(high, end)
            continue
        if begun:
            joined.append((low, high))
        low, high, begun = start, end, True
    if begun:
        joined.append((low, high))
    return joined


def subtract(spans: Sequence[Span], taken: Sequence[Span]) -> list[Span]:
    """The seconds of `spans` outside `taken`; both sorted and disjoint.

    >>> subtract([(0, 10)], [(2, 3), (8, 12)])
    [(0, 2), (3, 8)]
    """
    if not taken or not spans:
        return list(spans)
    left: list[Span] = []
    i, count = 0, len(taken)
    for start, end in spans:
        while i < count and taken[i][1] <= start:
            i += 1
        at, k = start, i
        while k < count and taken[k][0] < end:
            if taken[k][0] > at:
                left.append((at, taken[k][0]))
            at = max(at, taken[k][1])
            k += 1
        if at < end:
            left.append((at, end))
        i = max(i, k - 1)
    return left


def intersect(left: Sequence[Span], right: Sequence[Span]) -> list[Span]:
    """The seconds in both; both sorted and disjoint.

    >>> intersect([(0, 5), (8, 10)], [(3, 9)])
    [(3, 5), (8, 9)]
    """
    found: list[Span] = []
    if not left or not right:
        return found
    others = iter(right)
    low, high = next(others)
    for start, end in left:
        while high <= start:
            low, high = next(others, (end, end))
            if low == high:
                return found
        while low < end:
            found.append((start if start > low else low, end if end < high else high))
            if high > end:
                break
            low, high = next(others, (end, end))
            if low == high:
                return found
    return found


def clip(spans: Sequence[Span], bound: Span) -> list[Span]:
    """The seconds inside one span; `spans` sorted and disjoint."""
    low, high = bound
    first = bisect_left(spans, (low, low))
    if first and spans[first - 1][1] > low:
        first -= 1
    found: list[Span] = []
    for start, end in spans[first : bisect_left(spans, (high, high))]:
        if max(start, low) < min(end, high):
            found.append((max(start, low), min(end, high)))
    return found


def length(spans: Iterable[Span]) -> int:
    """Seconds in disjoint spans."""
    return sum(end - start for start, end in spans)


def touching_left(spans: Sequence[Span], instant: int) -> Span | None:
    """The part before `instant` of the span that ends at it or lies across it."""
    at = bisect_left(spans, (instant, instant)) - 1
    return (spans[at][0], instant) if at >= 0 and spans[at][1] >= instant else None


def touching_right(spans: Sequence[Span], instant: int) -> Span | None:
    """The part from `instant` on of the span that starts at it or lies across it."""
    at = bisect_left(spans, (instant + 1, instant + 1)) - 1
    return (instant, spans[at][1]) if at >= 0 and spans[at][1] > instant else None
