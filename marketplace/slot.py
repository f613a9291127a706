"""Half-open time spans in UTC."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


class EmptySlot(ValueError):
    """A slot must end after it starts."""


class NaiveInstant(ValueError):
    """An instant without an offset is not an instant."""


@dataclass(frozen=True, order=True, slots=True, init=False)
class Slot:
    """`[start, end)`, aware, turned to UTC at birth, never empty; touching slots do not overlap.

    >>> from datetime import datetime, UTC
    >>> nine, ten, eleven = (datetime(2026, 3, 10, h, tzinfo=UTC) for h in (9, 10, 11))
    >>> Slot(nine, ten).overlaps(Slot(ten, eleven))
    False
    """

    start: datetime
    end: datetime

    def __init__(self, start: datetime, end: datetime) -> None:
        if not (start.tzinfo is UTC and end.tzinfo is UTC and start < end):  # seldom
            start, end = _in_utc(start, end)
        _set_start(self, start)
        _set_end(self, end)

    @property
    def duration(self) -> timedelta:
        return self.end - self.start

    @property
    def seconds(self) -> int:
        """Whole seconds, rounded down."""
        return int(self.duration // timedelta(seconds=1))

    def overlaps(self, other: "Slot") -> bool:
        return self.start < other.end and other.start < self.end

    def contains(self, other: "Slot") -> bool:
        return self.start <= other.start and other.end <= self.end

    def clip(self, bound: "Slot") -> "Slot | None":
        """The part inside `bound`, or None where they do not overlap."""
        start = self.start if self.start >= bound.start else bound.start
        end = self.end if self.end <= bound.end else bound.end
        if start is self.start and end is self.end:
            return self
        return Slot(start, end) if start < end else None

    def widen(self, before: timedelta, after: timedelta) -> "Slot":
        return Slot(self.start - before, self.end + after)

    def shift(self, by: timedelta) -> "Slot":
        return Slot(self.start + by, self.end + by)


_set_start, _set_end = Slot.__dict__["start"].__set__, Slot.__dict__["end"].__set__
"""A free-time query makes thousands of slots; `object.__setattr__` took three times as long."""


def _in_utc(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    if start.tzinfo is None or end.tzinfo is None:
        raise NaiveInstant(f"{start} to {end}")
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    if end <= start:
        raise EmptySlot(f"{start} to {end}")
    return start, end


def union(slots: Iterable[Slot]) -> list[Slot]:
    """The same instants as disjoint slots in order; touching ones are joined."""
    joined: list[Slot] = []
    for slot in sorted(slots):
        if joined and slot.start <= joined[-1].end:
            joined[-1] = Slot(joined[-1].start, max(joined[-1].end, slot.end))
        else:
            joined.append(slot)
    return joined


def subtract(slots: Iterable[Slot], taken: Iterable[Slot]) -> list[Slot]:
    """What remains of `slots` outside `taken`, disjoint and in order."""
    holes = union(taken)
    return [piece for slot in union(slots) for piece in _outside(slot, holes)]


def _outside(slot: Slot, holes: list[Slot]) -> Iterator[Slot]:
    start = slot.start
    for number in range(bisect_right(holes, start, key=lambda hole: hole.end), len(holes)):
        hole = holes[number]
        if hole.start >= slot.end:
            break
        if hole.start > start:
            yield Slot(start, hole.start)
        start = max(start, hole.end)
    if start < slot.end:
        yield Slot(start, slot.end)


def intersect(left: Iterable[Slot], right: Iterable[Slot]) -> list[Slot]:
    """The instants in both, disjoint and in order."""
    return common(union(left), union(right))


def common(a: Sequence[Slot], b: Sequence[Slot]) -> list[Slot]:
    """The pieces that lie in a slot of each; both are disjoint and in order."""
    found: list[Slot] = []
    i = j = 0
    while i < len(a) and j < len(b):
        one, other = a[i], b[j]
        start, end = one.start if one.start >= other.start else other.start, one.end
        if end <= other.end:
            i += 1
        else:
            end = other.end
            j += 1
        if start < end:
            found.append(Slot(start, end))
    return found


def total(slots: Iterable[Slot]) -> timedelta:
    """The time covered by the union."""
    return sum((slot.duration for slot in union(slots)), timedelta())
