"""Where a use of a given length fits into free time: free stretches on the step's grid, and the starts they allow."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from booking.availability import MINUTE, day_pieces, has_plain_grid, is_on_plain_grid, local_days, next_on_grid
from booking.terms import Rules
from marketplace.slot import Slot

HALF_HOUR_MIN = 30
"""Clocks are changed by whole half hours, so a step that divides it keeps its place over the change."""
Range = tuple[datetime, datetime]
"""Starts from the first to the last, both included; between two instants, so it may hold one only."""


def trimmed(free: Sequence[Slot], rules: Rules, zone: ZoneInfo) -> list[Slot]:
    """Each stretch from the first to the last instant that a use inside it may touch; none that is too short for one."""
    found: list[Slot] = []
    shortest = whole_steps(rules.min_min * MINUTE, rules)
    if not free or shortest > rules.max_min * MINUTE:
        return found
    is_plain = has_plain_grid(Slot(free[0].start, free[-1].end), rules.step_min, zone)
    for stretch in free:
        if is_plain and is_on_plain_grid(stretch.start, rules.step_min) and is_on_plain_grid(stretch.end, rules.step_min):
            start, end = stretch.start, stretch.end
        else:
            start = next_on_grid(stretch.start, rules.step_min, zone)
            end = _last_end(start, stretch, rules.step_min, zone)
        if start + shortest <= end and (not found or end > found[-1].end):
            found.append(stretch if start is stretch.start and end is stretch.end else Slot(start, end))
    return found


def whole_steps(length: timedelta, rules: Rules) -> timedelta:
    """`length` made longer to a whole number of steps.

    >>> str(whole_steps(timedelta(minutes=50), Rules(step_min=15)))
    '1:00:00'
    """
    step = rules.step_min * MINUTE
    return -(-length // step) * step


def _last_end(start: datetime, stretch: Slot, step_min: int, zone: ZoneInfo) -> datetime:
    """The latest end of whole steps: counted from `start`, and where the grid begins anew inside from there too."""
    step = step_min * MINUTE
    latest = stretch.end - (stretch.end - start) % step
    if latest == stretch.end or HALF_HOUR_MIN % step_min == 0 or start >= stretch.end:
        return latest
    for anew in _fresh_starts(Slot(start, stretch.end), step_min, zone):
        latest = max(latest, anew + (stretch.end - anew) // step * step)
    return latest


def _fresh_starts(stretch: Slot, step_min: int, zone: ZoneInfo) -> Iterator[datetime]:
    """The first instant of the grid in each local day that `stretch` touches, and after each change of the clock."""
    for day in local_days(stretch, zone):
        for piece in day_pieces(day, zone):
            at = next_on_grid(max(piece.start, stretch.start), step_min, zone)
            if at < stretch.end:
                yield at


def starts(free: Iterable[Slot], length: timedelta, within: Slot) -> list[Range]:
    """The starts at which `length` lies in a stretch of `free` and in `within`, in order; the grid is not looked at."""
    pieces = [piece for stretch in free if (piece := stretch.clip(within))]
    return [(piece.start, piece.end - length) for piece in pieces if piece.duration >= length]


def without(ranges: Iterable[Range], barred: Iterable[Range]) -> list[Range]:
    """What remains of `ranges`; of a barred one the instants strictly between its edges are taken away."""
    found = list(ranges)
    for after, before in barred:
        found = [piece for one in found for piece in _beside(one, after, before)]
    return found


def _beside(one: Range, after: datetime, before: datetime) -> Iterator[Range]:
    first, last = one
    if after >= before or last <= after or first >= before:
        yield one
        return
    if first <= after:
        yield first, after
    if last >= before:
        yield before, last


@dataclass(frozen=True, slots=True)
class Starts:
    """Where a use of `length` may begin: in `ranges` the instants on the grid, and single ones beside own bookings."""

    length: timedelta
    ranges: Sequence[Range]
    step_min: int
    zone: ZoneInfo
    singles: Sequence[datetime] = ()

    def first(self, since: datetime | None = None) -> Slot | None:
        """The earliest slot that begins at `since` or later; None if there is none."""
        found = [at for at in self.singles if since is None or at >= since]
        for first, last in self.ranges:
            if found and first >= min(found):
                break
            earliest = max(first, since) if since else first
            if earliest <= last and (at := next_on_grid(earliest, self.step_min, self.zone)) <= last:
                found.append(at)
        return Slot(min(found), min(found) + self.length) if found else None
