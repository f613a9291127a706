"""Where things lie on a publisher's timeline: its window, its ticks, the lanes of bars; pure, true on days of 23 or 25 hours."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from booking.availability import local_midnight
from marketplace.slot import Slot
from web.weekgrid import week_of

OFFICE = (8, 20)
"""Hours a day is drawn from and to where nothing asks for more."""


class Scale(StrEnum):
    """How much time is drawn at once."""

    DAY = "day"
    WEEK = "week"
    FORTNIGHT = "fortnight"

    @property
    def days(self) -> int:
        return {Scale.DAY: 1, Scale.WEEK: 7, Scale.FORTNIGHT: 14}[self]

    @property
    def snap_min(self) -> int:
        """The least that dragging changes, in minutes; finer is for the form."""
        return {Scale.DAY: 15, Scale.WEEK: 30, Scale.FORTNIGHT: 60}[self]


@dataclass(frozen=True, slots=True)
class Tick:
    """A line across the rows; a day's own begins that day."""

    at: datetime
    x: str
    day: bool
    labelled: bool


def first_day(day: date, scale: Scale, first_weekday: int) -> date:
    """With which day the window begins that shows `day`."""
    return day if scale is Scale.DAY else week_of(day, first_weekday)


def window(first: date, scale: Scale, zone: ZoneInfo, spans: Iterable[Slot]) -> Slot:
    """What is drawn from the local day `first` on: whole days, of a single day the hours that `spans` reach into.

    >>> shanghai = ZoneInfo("Asia/Shanghai")
    >>> night = Slot(datetime(2026, 11, 25, 14, 30, tzinfo=UTC), datetime(2026, 11, 25, 20, tzinfo=UTC))
    >>> drawn = window(date(2026, 11, 25), Scale.DAY, shanghai, [night])
    >>> f"{drawn.start.astimezone(shanghai):%H:%M} {drawn.end.astimezone(shanghai):%d %H:%M}"
    '08:00 26 00:00'
    """
    whole = whole_days(first, scale.days, zone)
    if scale is not Scale.DAY:
        return whole
    opens, closes = (_wall(first, hour, zone) for hour in OFFICE)
    pieces = [piece for span in spans if (piece := span.clip(whole))]
    start = min([opens, *(_floor(piece.start, zone) for piece in pieces)])
    end = max([closes, *(_floor(piece.end + timedelta(minutes=59), zone) for piece in pieces)])
    return Slot(max(start, whole.start), min(end, whole.end))


def whole_days(first: date, count: int, zone: ZoneInfo) -> Slot:
    return Slot(local_midnight(first, zone), local_midnight(first + timedelta(days=count), zone))


def _wall(day: date, hour: int, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(hour), zone).astimezone(UTC)


def _floor(at: datetime, zone: ZoneInfo) -> datetime:
    local = at.astimezone(zone)
    return at - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)


def place(at: datetime, drawn: Slot) -> str:
    """How far from the left edge, as SVG wants it.

    >>> noon = Slot(datetime(2026, 11, 25, tzinfo=UTC), datetime(2026, 11, 26, tzinfo=UTC))
    >>> place(datetime(2026, 11, 25, 6, tzinfo=UTC), noon)
    '25%'
    """
    return f"{100 * ((at - drawn.start) / drawn.duration):.4g}%"


def width(slot: Slot, drawn: Slot) -> str:
    return f"{100 * (slot.duration / drawn.duration):.4g}%"


def ticks(drawn: Slot, scale: Scale, zone: ZoneInfo) -> list[Tick]:
    """The beginnings of days and, of a single day, of hours; of a week the quarters of days without a label."""
    every = {Scale.DAY: 1, Scale.WEEK: 6, Scale.FORTNIGHT: 24}[scale]
    found, at = [], _floor(drawn.start, zone)
    while at < drawn.end:
        local = at.astimezone(zone)
        day = local.hour == 0 and (at - timedelta(hours=1)).astimezone(zone).date() != local.date()
        if at >= drawn.start and (day or local.hour % every == 0):
            found.append(Tick(at, place(at, drawn), day, labelled=day or scale is Scale.DAY))
        at += timedelta(hours=1)
    return found


def lanes(slots: Sequence[Slot]) -> list[int]:
    """A lane for each, so that what overlaps lies one below the other; the lowest that is free.

    >>> def at(start, end): return Slot(datetime(2026, 1, 1, start, tzinfo=UTC), datetime(2026, 1, 1, end, tzinfo=UTC))
    >>> lanes([at(1, 4), at(2, 3), at(3, 5), at(4, 6)])
    [0, 1, 1, 0]
    """
    ends: list[datetime] = []
    chosen = [0] * len(slots)
    for number in sorted(range(len(slots)), key=lambda one: slots[one].start):
        slot = slots[number]
        lane = next((lane for lane, end in enumerate(ends) if end <= slot.start), len(ends))
        ends[lane : lane + 1] = [slot.end]
        chosen[number] = lane
    return chosen


def snap(step_min: int, scale: Scale) -> int:
    """Minutes that one step of dragging or of an arrow key changes: the rules' own step, as often as the scale needs.

    >>> snap(15, Scale.DAY), snap(20, Scale.WEEK), snap(1, Scale.FORTNIGHT)
    (15, 40, 60)
    """
    return -(-scale.snap_min // step_min) * step_min
