"""Times of an iCalendar file: wall clocks with their zone, whole days, spans; and which zone a name means."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

from booking.availability import local_midnight
from booking.external.lines import Property
from marketplace.slot import Slot
from marketplace.zones import zone_names

EARLIEST, LATEST = 1900, 2200
LONGEST_DAYS = 3660
"""A span beyond ten years is a slip of the pen."""
TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)(Z)?)?", re.ASCII)
SPAN = re.compile(r"([+-])?P(?:(\d{1,5})W)?(?:(\d{1,5})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,7})M)?(?:(\d{1,8})S)?)?", re.ASCII)

FindZone = Callable[[Property], ZoneInfo]


class BadTime(ValueError):
    """What is written is no time, or no span of time."""


@dataclass(frozen=True, slots=True)
class Wall:
    """A time by the clock of `zone`, without offset; or the whole day that begins there."""

    at: datetime
    zone: ZoneInfo
    whole_day: bool = False

    @property
    def instant(self) -> datetime:
        """In UTC. In a skipped hour the offset before it counts, in a repeated one the first time (RFC 5545, 3.3.5)."""
        return local_midnight(self.at.date(), self.zone) if self.whole_day else self.at.replace(tzinfo=self.zone).astimezone(UTC)

    @property
    def exists(self) -> bool:
        return self.whole_day or self.instant.astimezone(self.zone).replace(tzinfo=None) == self.at

    def moved(self, by: timedelta) -> "Wall":
        return Wall(self.at + by, self.zone, self.whole_day)


@dataclass(frozen=True, slots=True)
class Length:
    """How long something lasts: days of the calendar, then an exact time. Never negative."""

    days: int
    rest: timedelta = timedelta()

    def after(self, start: Wall) -> datetime:
        return start.moved(timedelta(days=self.days)).instant + self.rest


def read_time(line: Property, value: str, find: FindZone) -> Wall:
    """Raises: BadTime."""
    found = TIME.fullmatch(value.strip().upper())
    if not found or not EARLIEST <= int(found[1]) < LATEST:
        raise BadTime(value)
    try:
        day = date(int(found[1]), int(found[2]), int(found[3]))
        if found[4] is None:
            return Wall(datetime.combine(day, time()), find(line), whole_day=True)
        clock = time(int(found[4]), int(found[5]), min(int(found[6]), 59))  # a leap second is the one before
    except ValueError as error:
        raise BadTime(value) from error
    return Wall(datetime.combine(day, clock), ZoneInfo("UTC") if found[7] else find(line))


def read_length(value: str) -> Length:
    """Raises: BadTime."""
    found = SPAN.fullmatch(value.strip().upper())
    if not found or not any(found.groups()[1:]) or found[1] == "-":
        raise BadTime(value)
    weeks, days, hours, minutes, seconds = (int(one or 0) for one in found.groups()[1:])
    length = Length(weeks * 7 + days, timedelta(hours=hours, minutes=minutes, seconds=seconds))
    if length.days + length.rest.days > LONGEST_DAYS:
        raise BadTime(value)
    return length


def until(start: Wall, end: Wall) -> Length:
    """From `start` to `end`: days between dates, an exact time between times (RFC 5545, 3.8.5.3). Raises: BadTime."""
    if start.whole_day and end.whole_day:
        length = Length(max((end.at - start.at).days, 1))
    else:
        length = Length(0, end.instant - start.instant)
    if length.rest < timedelta() or length.days + length.rest.days > LONGEST_DAYS:
        raise BadTime(f"{end.at}")
    return length


def read_period(line: Property, value: str, find: FindZone) -> tuple[Wall, Length]:
    """`start/end` or `start/span`. Raises: BadTime."""
    first, _, second = value.partition("/")
    start = read_time(line, first, find)
    span = second.strip().upper().startswith(("P", "+P"))
    return start, read_length(second) if span else until(start, read_time(line, second, find))


def slot_of(start: Wall, length: Length) -> Slot | None:
    """None for what takes no time."""
    begins, ends = start.instant, length.after(start)
    return Slot(begins, ends) if begins < ends else None


def zone_named(name: str, places: Mapping[str, str]) -> ZoneInfo | None:
    """The zone that a TZID means: by IANA, by Windows, by the place that its definition names, or by the end of a path.

    >>> zone_named("W. Europe Standard Time", {}), zone_named("/example.org/20260101/America/New_York", {})
    (zoneinfo.ZoneInfo(key='Europe/Berlin'), zoneinfo.ZoneInfo(key='America/New_York'))
    """
    tidy = name.strip().strip('"')
    parts = tidy.split("/")
    tails = ["/".join(parts[-count:]) for count in (3, 2) if len(parts) > count]
    known = _zones()
    for one in (tidy, WINDOWS_TO_OLSON.get(tidy, ""), places.get(tidy, ""), *tails):
        if key := known.get(one.lower()):
            return ZoneInfo(key)
    return None


@cache
def _zones() -> Mapping[str, str]:
    return {key.lower(): key for key in zone_names()}
