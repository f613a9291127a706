"""Opening hours in the resource's local time, turned into UTC slots; a local day may have 23, 24 or 25 hours."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from booking.calendar_days import NO_HOLIDAYS, Holidays
from marketplace.slot import Slot, union

DAY_MIN = 24 * 60
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


def open_slots(hours: Opening, zone: ZoneInfo, within: Slot) -> list[Slot]:
    """The open time inside `within`, disjoint and in order.

    Hours that fall into a skipped wall-clock hour vanish; in a repeated hour they count twice.
    """
    if hours.always:
        return [within]
    days = local_days(within, zone)
    return union(piece for day in days for piece in _open_on(day, hours.on(day), zone, within))


def local_days(within: Slot, zone: ZoneInfo) -> list[date]:
    """Every local date that `within` touches."""
    first = within.start.astimezone(zone).date()
    last = (within.end - timedelta(microseconds=1)).astimezone(zone).date()
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def local_midnight(day: date, zone: ZoneInfo) -> datetime:
    """The first instant of the local day, in UTC."""
    return next(_stretches(day, zone))[0].start


def local_day(day: date, zone: ZoneInfo) -> Slot:
    """The local day as a slot of 23, 24 or 25 hours."""
    return Slot(local_midnight(day, zone), local_midnight(day + timedelta(days=1), zone))


def wall_minute(instant: datetime, zone: ZoneInfo) -> int:
    """Minutes of the wall clock since 00:00 at `instant`."""
    local = instant.astimezone(zone)
    return local.hour * 60 + local.minute


def _open_on(day: date, spans: Sequence[Span], zone: ZoneInfo, within: Slot) -> Iterator[Slot]:
    if not spans:
        return
    midnight = datetime.combine(day, time(), UTC)
    for stretch, offset in _stretches(day, zone):
        for open_min, close_min in spans:
            opened = Slot(midnight + timedelta(minutes=open_min) - offset, midnight + timedelta(minutes=close_min) - offset)
            if (piece := opened.clip(stretch)) and (seen := piece.clip(within)):
                yield seen


def _stretches(day: date, zone: ZoneInfo) -> Iterator[tuple[Slot, timedelta]]:
    """The local day cut where the offset from UTC changes, each piece with its offset."""
    naive = datetime.combine(day, time())
    start = min(naive.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if start.astimezone(zone).date() != day:  # midnight itself is skipped
        start = _change(start, start + timedelta(hours=3), zone)
    following = naive + timedelta(days=1)
    end = min(following.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if end.astimezone(zone).date() == day:
        end = _change(end, end + timedelta(hours=3), zone)
    while start < end:
        offset = _offset(start, zone)
        cut = end if _offset(end - timedelta(seconds=1), zone) == offset else _change(start, end, zone)
        yield Slot(start, cut), offset
        start = cut


def _change(start: datetime, end: datetime, zone: ZoneInfo) -> datetime:
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


def _offset(instant: datetime, zone: ZoneInfo) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta()
