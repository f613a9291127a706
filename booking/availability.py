"""Opening hours in the resource's local time, turned into UTC slots; a local day may have 23, 24 or 25 hours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache

from booking.calendar_days import NO_HOLIDAYS, Holidays
from marketplace.slot import Slot, union

DAY_MIN = 24 * 60
MINUTE = timedelta(minutes=1)
LONGEST_JUDGED = timedelta(days=62)
"""Of a longer use only this much is looked at: twice what any rule lets a booking last, and a bound on the work."""
DAYS_KEPT = 16_384
"""Local days whose openings are remembered: a year of forty patterns of opening hours."""
SPANS_KEPT = 1_024
"""Windows whose openings are remembered, by pattern: pages of one day ask for the same few."""
Span = tuple[int, int]
"""From and to in minutes of the wall clock; 1440 ends the day."""


@dataclass(frozen=True, slots=True)
class Hours:
    """Open on `weekday` (0 = Monday) from `open_min` to `close_min`, minutes of the wall clock; 1440 ends the day."""

    weekday: int
    open_min: int
    close_min: int


@dataclass(frozen=True, slots=True)
class Opening:
    """When a resource is open: by weekday (no hours at all means always), less public holidays, and as a date of its own says."""

    weekly: Sequence[Hours] = ()
    exceptions: Mapping[date, Sequence[Span]] = field(default_factory=dict)
    holidays: Holidays = NO_HOLIDAYS

    def __hash__(self) -> int:
        return hash((*self.weekly, len(self.exceptions)))

    @property
    def always(self) -> bool:
        return not self.weekly and not self.exceptions and self.holidays is NO_HOLIDAYS

    def on(self, day: date) -> Sequence[Span]:
        """Of that local date: its exception, else none on a holiday, else the hours of its weekday or of the one it replaces."""
        if day in self.exceptions:
            return self.exceptions[day]
        like = self.holidays.opens_like(day)
        if like is None:
            return ()
        if not self.weekly:
            return ((0, DAY_MIN),)
        return tuple((span.open_min, span.close_min) for span in self.weekly if span.weekday == like.weekday())


ALWAYS = Opening()


def open_slots(hours: Opening, zone: tzinfo, within: Slot) -> list[Slot]:
    """The open time inside `within`, disjoint and in order.

    Hours that fall into a skipped wall-clock hour vanish; in a repeated hour they count twice.
    """
    if hours.always:
        return [within]
    first, last = _edge_days(within, zone)
    opened = _opened(hours, zone, first, last)
    if opened and within.contains(opened[0]) and within.contains(opened[-1]):
        return list(opened)
    return [seen for span in opened if (seen := span.clip(within))]


@lru_cache(maxsize=SPANS_KEPT)
def _opened(hours: Opening, zone: tzinfo, first: date, last: date) -> tuple[Slot, ...]:
    """The open time of the local days from `first` to `last`."""
    days = _days(first, last)
    return tuple(union(piece for day in days for piece in _open_on(day, tuple(hours.on(day)), zone)))


def judged(slot: Slot) -> Slot:
    """Of a use the part that the opening hours and quotas are looked at for."""
    return slot if slot.duration <= LONGEST_JUDGED else Slot(slot.start, slot.start + LONGEST_JUDGED)


def next_on_grid(instant: datetime, step_min: int, zone: tzinfo) -> datetime:
    """The first instant at or after `instant` whose wall clock is a whole number of steps after local midnight."""
    local = instant.astimezone(zone)
    if not ((local.hour * 60 + local.minute) % step_min or local.second or local.microsecond):
        return instant
    since = timedelta(hours=local.hour, minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    ahead = -since % (step_min * MINUTE)
    at = (instant + ahead).astimezone(zone)
    if at.utcoffset() == local.utcoffset() and at.date() == local.date():
        return instant + ahead
    return _later_on_grid(instant, step_min, zone, local.date())


def has_plain_grid(within: Slot, step_min: int, zone: tzinfo) -> bool:
    """Whether in all of `within` the grid of local time is that of UTC, so that no instant has to be turned into local time."""
    return DAY_MIN % step_min == 0 and _all_offsets_are_of(step_min, zone, *_edge_days(within, zone))


@lru_cache(maxsize=SPANS_KEPT)
def _all_offsets_are_of(step_min: int, zone: tzinfo, first: date, last: date) -> bool:
    return not any(offset % (step_min * MINUTE) for day in _days(first, last) for _, offset in _stretches(day, zone))


def is_on_plain_grid(instant: datetime, step_min: int) -> bool:
    """Of an instant in UTC."""
    return not ((instant.hour * 60 + instant.minute) % step_min or instant.second or instant.microsecond)


def _later_on_grid(instant: datetime, step_min: int, zone: tzinfo, day: date) -> datetime:
    """The same where midnight or a change of the clock lies between."""
    midnight = datetime.combine(day, time(), UTC)
    for piece, offset in _stretches(day, zone):
        earliest = max(piece.start, instant)
        at = earliest + (midnight - offset - earliest) % (step_min * MINUTE)
        if at < piece.end:
            return at
    return _later_on_grid(instant, step_min, zone, day + timedelta(days=1))


def local_days(within: Slot, zone: tzinfo) -> list[date]:
    """Every local date that `within` touches."""
    return _days(*_edge_days(within, zone))


def _edge_days(within: Slot, zone: tzinfo) -> tuple[date, date]:
    last = (within.end - timedelta(microseconds=1)).astimezone(zone).date()
    return within.start.astimezone(zone).date(), last


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def local_midnight(day: date, zone: tzinfo) -> datetime:
    """The first instant of the local day, in UTC."""
    return _stretches(day, zone)[0][0].start


def local_day(day: date, zone: tzinfo) -> Slot:
    """The local day as a slot of 23, 24 or 25 hours."""
    return Slot(local_midnight(day, zone), local_midnight(day + timedelta(days=1), zone))


def wall_minute(instant: datetime, zone: tzinfo) -> int:
    """Minutes of the wall clock since 00:00 at `instant`."""
    local = instant.astimezone(zone)
    return local.hour * 60 + local.minute


def day_pieces(day: date, zone: tzinfo) -> list[Slot]:
    """The local day cut where the clock is changed."""
    return [piece for piece, _ in _stretches(day, zone)]


@lru_cache(maxsize=DAYS_KEPT)
def _open_on(day: date, spans: tuple[Span, ...], zone: tzinfo) -> tuple[Slot, ...]:
    """The open time of a local day that is open for `spans`, disjoint and in order."""
    midnight = datetime.combine(day, time(), UTC)
    opened = (
        (Slot(midnight + open_min * MINUTE - offset, midnight + close_min * MINUTE - offset), stretch)
        for stretch, offset in _stretches(day, zone)
        for open_min, close_min in spans
    )
    return tuple(union(piece for span, stretch in opened if (piece := span.clip(stretch))))


@lru_cache(maxsize=DAYS_KEPT)
def _stretches(day: date, zone: tzinfo) -> tuple[tuple[Slot, timedelta], ...]:
    """The local day cut where the offset from UTC changes, each piece with its offset."""
    naive = datetime.combine(day, time())
    start = min(naive.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if start.astimezone(zone).date() != day:  # midnight itself is skipped
        start = _change(start, start + timedelta(hours=3), zone)
    following = naive + timedelta(days=1)
    end = min(following.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if end.astimezone(zone).date() == day:
        end = _change(end, end + timedelta(hours=3), zone)
    found = []
    while start < end:
        offset = _offset(start, zone)
        cut = end if _offset(end - timedelta(seconds=1), zone) == offset else _change(start, end, zone)
        found.append((Slot(start, cut), offset))
        start = cut
    return tuple(found)


def _change(start: datetime, end: datetime, zone: tzinfo) -> datetime:
    """The first instant in `(start, end]` at which the offset differs from that at `start`, to the second."""
    offset = _offset(start, zone)
    low, high = 0, int((end - start).total_seconds())
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(start + timedelta(seconds=middle), zone) == offset:
            low = middle
        else:
            high = middle
    return start + timedelta(seconds=high)


def _offset(instant: datetime, zone: tzinfo) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta()
