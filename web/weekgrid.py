"""The calendar's table and the panel's three selects, worked out from free slots; pure, and true on days of 23 or 25 hours."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from zoneinfo import ZoneInfo

from marketplace.slot import Slot
from web.i18n import instant
from web.views.frame import Choice
from web.views.resource import Cell, CellKind, Column, Row, Week

DAY_MIN = 24 * 60
OFFICE = (8 * 60, 20 * 60)
"""Drawn where a week has neither free time nor bookings."""
MOST_ENDS = 96
"""Ends offered in the select; longer bookings go through the calendar or the API."""


@dataclass(frozen=True, slots=True)
class Busy:
    """Why a time is not free: booked, mine, in_use or outage, with a label where it may be told."""

    slot: Slot
    kind: CellKind
    label: str | None = None


def drawn_step(step_min: int) -> int:
    """Minutes a row of the calendar stands for: half an hour where the rules' step divides it.

    >>> [drawn_step(step) for step in (1, 15, 30, 60, 45)]
    [30, 30, 30, 60, 45]
    """
    return next((drawn for drawn in (30, 60) if drawn % step_min == 0), step_min)


def week_of(day: date, first_weekday: int) -> date:
    """The first day of the week that `day` lies in, where weeks begin with `first_weekday` (0 = Monday).

    >>> week_of(date(2026, 11, 25), 0), week_of(date(2026, 11, 25), 6), week_of(date(2026, 11, 22), 6)
    (datetime.date(2026, 11, 23), datetime.date(2026, 11, 22), datetime.date(2026, 11, 22))
    """
    return day - timedelta(days=(day.weekday() - first_weekday) % 7)


def week(
    *,
    first: date,
    now: datetime,
    zone: ZoneInfo,
    step_min: int,
    min_min: int,
    free: Sequence[Slot],
    busy: Sequence[Busy],
    cheap: Sequence[Slot] = (),
    previous: str | None = None,
    this: str = "",
    following: str | None = None,
) -> Week:
    """Seven local days from `first`. `free` is what may be booked; what is neither free nor busy is closed, or past."""
    step = drawn_step(step_min)
    days = [first + timedelta(days=n) for n in range(7)]
    opens, closes = _bounds(days, zone, step, [*free, *(b.slot for b in busy if b.kind is not CellKind.OUTAGE)])
    minutes = range(opens, closes, step)
    columns = [_column(n, day, minutes, step, zone, now, free, busy, cheap) for n, day in enumerate(days)]
    today = now.astimezone(zone).date()
    return Week(
        columns=[Column(day, today=day == today) for day in days],
        rows=[Row(minute, [column[minute] for column in columns if minute in column]) for minute in minutes],
        step_min=step,
        previous=previous,
        this=this,
        following=following,
        min_min=-(-min_min // step) * step,
    )


def _bounds(days: Sequence[date], zone: ZoneInfo, step: int, spans: Sequence[Slot]) -> tuple[int, int]:
    """From the first to the last minute of the wall clock that anything of the week touches."""
    starts, ends = [], []
    for day in days:
        midnight, following = _at(day, 0, zone), _at(day, DAY_MIN, zone)
        for span in spans:
            if piece := span.clip(Slot(midnight, following)):
                starts.append(_minute(piece.start, day, zone))
                ends.append(_minute(piece.end, day, zone))
    if not starts:
        return OFFICE
    return min(starts) // 60 * 60, min(-(-max(ends) // 60) * 60, DAY_MIN // step * step)


def _at(day: date, minute: int, zone: ZoneInfo) -> datetime:
    """The instant of a wall-clock minute; a skipped one is moved on by the gap."""
    naive = datetime.combine(day, time()) + timedelta(minutes=minute)
    return naive.replace(tzinfo=zone).astimezone(UTC)


def _minute(at: datetime, day: date, zone: ZoneInfo) -> int:
    local = at.astimezone(zone)
    return (local.date() - day).days * DAY_MIN + local.hour * 60 + local.minute


def _column(
    number: int,
    day: date,
    minutes: range,
    step: int,
    zone: ZoneInfo,
    now: datetime,
    free: Sequence[Slot],
    busy: Sequence[Busy],
    cheap: Sequence[Slot],
) -> dict[int, Cell]:
    """The cells of one day by the minute they start at; equal neighbours that cannot be booked become one."""
    seen = []
    for minute in minutes:
        start, end = _at(day, minute, zone), _at(day, minute + step, zone)
        slot = Slot(start, end if end > start else start + timedelta(minutes=step))
        seen.append((minute, slot, _kind(slot, now, free, busy, cheap)))
    cells: dict[int, Cell] = {}
    for (kind, owner), group in groupby(seen, key=lambda item: item[2]):
        stretch = list(group)
        if kind in {CellKind.FREE, CellKind.CHEAP}:
            cells.update({minute: Cell(kind, slot, number) for minute, slot, _ in stretch})
            continue
        whole = owner.slot if owner else Slot(stretch[0][1].start, stretch[-1][1].end)
        cells[stretch[0][0]] = Cell(kind, whole, number, len(stretch), owner.label if owner else None)
    return cells


def _kind(
    slot: Slot, now: datetime, free: Sequence[Slot], busy: Sequence[Busy], cheap: Sequence[Slot]
) -> tuple[CellKind, Busy | None]:
    if owner := next((one for one in busy if one.slot.overlaps(slot)), None):
        return owner.kind, owner
    if any(span.contains(slot) for span in free):
        return (CellKind.CHEAP if any(span.contains(slot) for span in cheap) else CellKind.FREE), None
    return (CellKind.PAST if slot.start < now else CellKind.CLOSED), None


@dataclass(frozen=True, slots=True)
class PanelChoices:
    """What the panel's selects hold: only values that can be booked."""

    days: Sequence[Choice]
    starts: Sequence[Choice]
    ends: Sequence[Choice]


def panel_choices(
    *,
    free: Sequence[Slot],
    zone: ZoneInfo,
    step_min: int,
    min_min: int,
    max_min: int,
    day: date | None,
    start: datetime | None,
    end: datetime | None = None,
) -> PanelChoices:
    """Days with a start, the starts of `day` (or of the day of `start`), and the ends that `start` allows."""
    step, shortest = timedelta(minutes=drawn_step(step_min)), timedelta(minutes=min_min)
    found = [at for span in free for at in starts(span, zone, step, shortest)]
    chosen = start.astimezone(zone).date() if start else day
    days = sorted({at.astimezone(zone).date() for at in found})
    here = sorted({at for at in found if at.astimezone(zone).date() == chosen} | ({start} if start and start in found else set()))
    return PanelChoices(
        days=[Choice(one.isoformat(), one.isoformat(), one == chosen) for one in days],
        starts=[Choice(instant(at), f"{at.astimezone(zone):%H:%M}", at == start) for at in here],
        ends=list(_ends(free, zone, step, shortest, timedelta(minutes=max_min), start, end)) if start else [],
    )


def starts(span: Slot, zone: ZoneInfo, step: timedelta, shortest: timedelta) -> Iterator[datetime]:
    """Instants of the grid, counted from local midnight, at which `shortest` fits into `span`."""
    local = span.start.astimezone(zone)
    since_midnight = timedelta(hours=local.hour, minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    at = span.start + (-since_midnight % step)
    while at + shortest <= span.end:
        yield at
        at += step


def _ends(
    free: Sequence[Slot], zone: ZoneInfo, step: timedelta, shortest: timedelta, longest: timedelta, start: datetime,
    end: datetime | None,
) -> Iterator[Choice]:  # fmt: skip
    span = next((one for one in free if one.start <= start < one.end), None)
    at = start + -(-shortest // step) * step
    offered = 0
    while span and at <= min(span.end, start + longest) and offered < MOST_ENDS:
        local, began = at.astimezone(zone), start.astimezone(zone).date()
        midnight = local.time() == time() and (local.date() - began).days == 1
        later = "" if local.date() == began or midnight else f" +{(local.date() - began).days}"
        yield Choice(instant(at), "24:00" if midnight else f"{local:%H:%M}{later}", at == end)
        at, offered = at + step, offered + 1
