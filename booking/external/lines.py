"""The lines of an iCalendar file (RFC 5545, 3.1) as entries with the properties that say when something is busy."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from icalendar.parser import Contentline, Contentlines

from marketplace.refusals import Refusal

LARGEST = 2_000_000
"""Bytes of a calendar."""
MOST_LINES = 300_000
MOST_ENTRIES = 5_000
DEEPEST = 4
"""Components inside one another: a calendar, an event, its alarm, and one to spare."""
WHOLE = {"BEGIN", "END", "UID", "SEQUENCE", "STATUS", "TRANSP", "TZID", "X-LIC-LOCATION", "X-WR-TIMEZONE"}
TIMES = {"DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE", "EXRULE", "RECURRENCE-ID", "FREEBUSY"}
WANTED = WHOLE | TIMES | {"TZOFFSETFROM", "TZOFFSETTO"}
OBSERVANCES = frozenset({"STANDARD", "DAYLIGHT"})
KEPT = frozenset({"VEVENT", "VFREEBUSY", "VTIMEZONE", "VCALENDAR"}) | OBSERVANCES


class Unreadable(Refusal):
    """No calendar can be made of it. `reason` is a code: not_a_calendar, cut_off, too_large, too_many."""

    code = "calendar_unreadable"


@dataclass(frozen=True, slots=True)
class Property:
    """A line; names of parameters are in capitals, a value stands as it was written."""

    name: str
    parameters: Mapping[str, str]
    value: str

    @property
    def values(self) -> list[str]:
        return [one.strip() for one in self.value.split(",") if one.strip()]


@dataclass(slots=True)
class Entry:
    """A component, such as an event, and whether one of its lines could not be read."""

    kind: str
    properties: list[Property] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    parts: list["Entry"] = field(default_factory=list)
    """Of a zone its observances."""

    def all(self, name: str) -> list[Property]:
        return [one for one in self.properties if one.name == name]

    def find(self, name: str) -> Property | None:
        return next((one for one in self.properties if one.name == name), None)

    def text(self, name: str, fallback: str = "") -> str:
        found = self.find(name)
        return found.value.strip() if found else fallback


def entries(data: bytes) -> list[Entry]:
    """Calendars, events, busy times and zones in the order of the file. A calendar without its end is refused whole.

    Raises: Unreadable.
    """
    if len(data) > LARGEST or data.count(b"\n") > MOST_LINES:
        raise Unreadable(reason="too_large")
    found: list[Entry] = []
    opened: list[Entry] = []
    for name, line in _wanted(data.decode("utf-8-sig", errors="replace")):
        if name == "BEGIN":
            _begin(Entry(_value(line)), opened, found)
        elif not opened:
            raise Unreadable(reason="not_a_calendar")
        elif name == "END":
            if opened.pop().kind != _value(line):
                raise Unreadable(reason="not_a_calendar")
        else:
            _take(opened[-1], line)
    if not found:
        raise Unreadable(reason="not_a_calendar")
    if opened:
        raise Unreadable(reason="cut_off")
    return found


def _begin(entry: Entry, opened: list[Entry], found: list[Entry]) -> None:
    """Raises: Unreadable."""
    opened.append(entry)
    if opened[0].kind != "VCALENDAR":
        raise Unreadable(reason="not_a_calendar")
    if len(opened) > DEEPEST or len(found) > MOST_ENTRIES:
        raise Unreadable(reason="too_many")
    if entry.kind in KEPT:
        found.append(entry)
    if entry.kind in OBSERVANCES and len(opened) > 1:
        opened[-2].parts.append(entry)


def _wanted(text: str) -> Iterator[tuple[str, Contentline]]:
    """The lines that matter, unfolded, with their names; words that people wrote are passed over unread."""
    for line in Contentlines.from_ical(text):  # type: ignore[no-untyped-call]
        name = line[:20].partition(":")[0].partition(";")[0].strip().upper()
        if name in WANTED:
            yield name, line


def _value(line: str) -> str:
    return line.partition(":")[2].strip().upper()


def _take(entry: Entry, line: Contentline) -> None:
    try:
        name, parameters, value = line.raw_parts()
    except ValueError:
        entry.broken.append(line[:100])
        return
    told = {key.upper(): one if isinstance(one, str) else ",".join(one) for key, one in parameters.items()}
    entry.properties.append(Property(name.upper(), told, value.strip()))
