"""Bookings laid out as a month or as a week by the hour; pure. Each lies where the wall clock of its equipment has it."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from marketplace.slot import Slot
from web.timeline import lanes
from web.views.calendar import Block, Day, Entry, Hours, Piece
from web.weekgrid import DAY_MIN, OFFICE, week_of

LANES = 4
"""Entries that a day of a month draws."""
HOUR_PX = 44
MOMENT = timedelta(microseconds=1)


def month_of(day: date) -> tuple[date, date]:
    """Its first and its last day."""
    first = day.replace(day=1)
    return first, (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)


def weeks_of(day: date, first_weekday: int) -> list[list[date]]:
    """The whole weeks that the month of `day` lies in.

    >>> weeks = weeks_of(date(2026, 11, 25), 6)
    >>> weeks[0][0], weeks[-1][-1], len(weeks)
    (datetime.date(2026, 11, 1), datetime.date(2026, 12, 5), 5)
    """
    first, last = month_of(day)
    start = week_of(first, first_weekday)
    count = ((last - start).days // 7) + 1
    return [[start + timedelta(days=7 * week + n) for n in range(7)] for week in range(count)]


def days_of(entry: Entry) -> tuple[date, date]:
    """The first and the last local day it lies on; one that ends at midnight ends with the day before."""
    zone = ZoneInfo(entry.zone)
    return entry.slot.start.astimezone(zone).date(), (entry.slot.end - MOMENT).astimezone(zone).date()


def part_of(entry: Entry, day: date) -> str:
    first, last = days_of(entry)
    if first == last:
        return "whole"
    return "first" if day == first else "last" if day == last else "middle"


def month(day: date, first_weekday: int, entries: Sequence[Entry], today: date, address: str) -> list[list[Day]]:
    """The weeks; `address` leads to a week by the hour, its day to follow."""
    return [_week(days, day.month, entries, today, address) for days in weeks_of(day, first_weekday)]


def _week(days: Sequence[date], month_number: int, entries: Sequence[Entry], today: date, address: str) -> list[Day]:
    here = [entry for entry in entries if days_of(entry)[0] <= days[-1] and days_of(entry)[1] >= days[0]]
    lane = dict(zip([entry.id for entry in here], lanes([_whole_days(entry) for entry in here]), strict=True))
    found = []
    for day in days:
        on_day = {lane[entry.id]: entry for entry in here if days_of(entry)[0] <= day <= days_of(entry)[1]}
        drawn = range(min(max(on_day, default=-1) + 1, LANES))
        pieces = [Piece(on_day[n], part_of(on_day[n], day)) if n in on_day else None for n in drawn]
        more = sum(n >= LANES for n in on_day)
        found.append(Day(day, day.month != month_number, day == today, pieces, more, f"{address}{day}"))
    return found


def _whole_days(entry: Entry) -> Slot:
    """What it takes of a month: whole days, so that two on one day lie below each other."""
    first, last = days_of(entry)
    utc = ZoneInfo("UTC")
    start = datetime.combine(first, time(), utc)
    return Slot(start, start + timedelta(days=(last - first).days + 1))


def minutes_on(entry: Entry, day: date) -> tuple[int, int] | None:
    """From and to in minutes of that day's wall clock; None where it does not lie on it.

    >>> night = Entry("1", "", Slot(datetime(2026, 11, 25, 14, tzinfo=ZoneInfo("UTC")),
    ...                             datetime(2026, 11, 25, 20, tzinfo=ZoneInfo("UTC"))), "Asia/Shanghai", "")
    >>> [minutes_on(night, date(2026, 11, day)) for day in (25, 26, 27)]
    [(1320, 1440), (0, 240), None]
    """
    first, last = days_of(entry)
    if not first <= day <= last:
        return None
    zone = ZoneInfo(entry.zone)
    start, end = entry.slot.start.astimezone(zone), entry.slot.end.astimezone(zone)
    from_min = start.hour * 60 + start.minute if day == first else 0
    to_min = end.hour * 60 + end.minute if day == last and end.date() == day else DAY_MIN
    return from_min, max(to_min, from_min + 1)


def hours(days: Sequence[date], entries: Sequence[Entry]) -> tuple[int, int]:
    """From and to in whole hours of minutes: what the week's entries reach into, office hours at least."""
    spans = [span for day in days for entry in entries if (span := minutes_on(entry, day))]
    start = min([OFFICE[0], *(span[0] for span in spans)]) // 60 * 60
    return start, -(-max([OFFICE[1], *(span[1] for span in spans)]) // 60) * 60


def by_hour(
    days: Sequence[date], entries: Sequence[Entry], bounds: tuple[int, int], now: datetime, zone: ZoneInfo
) -> list[Hours]:
    """The days with what lies on each, side by side where it overlaps."""
    local = now.astimezone(zone)
    minute = local.hour * 60 + local.minute
    seen = bounds[0] <= minute < bounds[1]
    return [
        Hours(
            day,
            day == local.date(),
            down(minute, bounds) if seen and day == local.date() else None,
            _blocks(day, entries, bounds),
        )
        for day in days
    ]


def _blocks(day: date, entries: Sequence[Entry], bounds: tuple[int, int]) -> list[Block]:
    here = [(entry, span) for entry in entries if (span := minutes_on(entry, day))]
    midnight = datetime.combine(day, time(), ZoneInfo("UTC"))
    slots = [Slot(midnight + timedelta(minutes=span[0]), midnight + timedelta(minutes=span[1])) for _, span in here]
    chosen = lanes(slots)
    share = 100 / (max(chosen, default=0) + 1)
    return [
        Block(
            entry,
            part_of(entry, day),
            f"{lane * share:.4g}%",
            f"{share:.4g}%",
            down(span[0], bounds),
            max(down(span[1], bounds) - down(span[0], bounds), 24),
        )
        for (entry, span), lane in zip(here, chosen, strict=True)
    ]


def down(minute: int, bounds: tuple[int, int]) -> int:
    """Pixels from the top."""
    return (minute - bounds[0]) * HOUR_PX // 60
