"""By how much several slots may be shifted together so that each still fits."""

from collections.abc import Iterable, Sequence
from datetime import timedelta

from marketplace.slot import Slot

Range = tuple[timedelta, timedelta]
"""Shifts from the first to the second, both included."""
NONE = timedelta()


def room(wanted: Slot, free: Iterable[Slot]) -> list[Range]:
    """The shifts that put `wanted` into one of `free`.

    >>> from datetime import UTC, datetime
    >>> hours = lambda a, b: Slot(datetime(2026, 3, 10, a, tzinfo=UTC), datetime(2026, 3, 10, b, tzinfo=UTC))
    >>> [[f"{at / timedelta(hours=1):+.0f} h" for at in one] for one in room(hours(9, 10), [hours(7, 8), hours(12, 14)])]
    [['-2 h', '-2 h'], ['+3 h', '+4 h']]
    """
    return [(span.start - wanted.start, span.end - wanted.end) for span in free if span.duration >= wanted.duration]


def common(rooms: Sequence[Sequence[Range]]) -> list[Range]:
    """The shifts that are in a range of each."""
    found = list(rooms[0])
    for ranges in rooms[1:]:
        pairs = ((max(a, c), min(b, d)) for a, b in found for c, d in ranges)
        found = sorted({(low, high) for low, high in pairs if low <= high})
    return found


def soonest(slot: Slot, staying: Iterable[Slot]) -> timedelta:
    """The least shift of `slot` that leaves it behind those of `staying` that end before it.

    >>> from datetime import UTC, datetime
    >>> hours = lambda a, b: Slot(datetime(2026, 3, 10, a, tzinfo=UTC), datetime(2026, 3, 10, b, tzinfo=UTC))
    >>> soonest(hours(12, 14), [hours(7, 9), hours(8, 10), hours(13, 15)]) / timedelta(hours=1)
    -2.0
    """
    return max((other.end - slot.start for other in staying if other.end <= slot.start), default=timedelta.min)


def candidates(ranges: Iterable[Range], step: timedelta, apart: timedelta) -> list[timedelta]:
    """Shifts of whole `step`s, nearest first, ties to the later one: of each range the nearest, and others `apart` from it."""
    found = set()
    for low, high in ranges:
        first, last = -(-low // step), high // step
        jump = max(1, -(-apart // step))
        nearest = min(max(0, first), last)
        found |= {at for at in (nearest + n * jump for n in range(-2, 3)) if first <= at <= last}
    return sorted((step * at for at in found), key=lambda shift: (abs(shift), shift < NONE))
