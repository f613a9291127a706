"""An iCalendar file as busy time. Whose it is and what it is about is not kept."""

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from booking.external.defined import zone_defined
from booking.external.lines import Entry, Property, entries
from booking.external.repeating import Effort, Planned, Repeats, plan, shifted, starts
from booking.external.times import (
    BadTime,
    Length,
    Wall,
    read_length,
    read_period,
    read_time,
    slot_of,
    until,
    zone_named,
)
from marketplace.refusals import Invalid
from marketplace.slot import Slot, union

MOST_NOTES = 20
LONGEST_VALUE = 100
FREE = {"FREE"}
ESCAPED = re.compile(r"\\([\\,;])")
OURS = "@pilotbench"
"""The end of our own entries' names: a calendar that subscribes to us tells us nothing new by them."""


@dataclass(frozen=True, slots=True)
class Note:
    """What could not be taken as it stands. `code`: unknown_zone, bad_time, bad_rule, bad_line, no_exrule."""

    code: str
    value: str


@dataclass(frozen=True, slots=True)
class Read:
    """Busy time inside the window, disjoint and in order; how many entries said so; what was not understood."""

    busy: list[Slot]
    entries: int
    notes: list[Note]


@dataclass(slots=True)
class Event:
    """One VEVENT; an override names the occurrence that it stands for."""

    uid: str
    sequence: int
    start: Wall
    length: Length
    busy: bool
    repeats: Repeats
    stands_for: Wall | None = None
    and_following: bool = False


@dataclass(slots=True)
class Notes:
    """The first of each kind of thing that was not understood."""

    found: dict[tuple[str, str], Note] = field(default_factory=dict)

    def add(self, code: str, value: str) -> None:
        if len(self.found) < MOST_NOTES:
            note = Note(code, value[:LONGEST_VALUE])
            self.found.setdefault((note.code, note.value), note)


class Zones:
    """Which zone a line's time is in: its own, else the file's, else the resource's.

    A name that is known everywhere means what it means everywhere; another what the file first says of it.
    """

    def __init__(self, file: list[Entry], usual: ZoneInfo, notes: Notes, within: Slot, effort: Effort) -> None:
        said = [e for e in reversed(file) if e.kind == "VTIMEZONE"]
        self._defined = {_plain(e.text("TZID")): e for e in said}
        self._places = {name: e.text("X-LIC-LOCATION") for name, e in self._defined.items()}
        self._known: dict[str, ZoneInfo] = {}
        self._notes, self._usual, self._within, self._effort = notes, usual, within, effort
        named = next((name for e in file if e.kind == "VCALENDAR" if (name := e.text("X-WR-TIMEZONE"))), "")
        self._usual = self._named(named) if named else usual

    def find(self, line: Property) -> ZoneInfo:
        name = line.parameters.get("TZID", "")
        return self._named(name) if name else self._usual

    def _named(self, name: str) -> ZoneInfo:
        if name not in self._known:
            zone = zone_named(name, self._places)
            if zone is None and (defined := self._defined.get(name.strip().strip('"'))):
                zone = zone_defined(defined, self._within, self._effort)
            if zone is None:
                self._notes.add("unknown_zone", name)
            self._known[name] = zone or self._usual
        return self._known[name]


def _plain(text: str) -> str:
    """As a parameter would say it, which escapes nothing."""
    return ESCAPED.sub(r"\1", text)


def read(data: bytes, *, zone: ZoneInfo, within: Slot, ours: Container[str] = ()) -> Read:
    """The busy time of a calendar file inside `within`; `zone` is that of times which name none.

    `ours` are the ids of what the resource itself says in its feed. Raises: Unreadable.
    """
    notes, effort = Notes(), Effort()
    file = entries(data)
    zones = Zones(file, zone, notes, within, effort)
    for entry in file:
        for line in entry.broken:
            notes.add("bad_line", line)
    told = [one for one in file if one.kind == "VEVENT" and not _is_ours(one.text("UID"), ours)]
    events = [event for entry in told if (event := _event(entry, zones, notes))]
    found = [*_of_events(events, within, effort, notes), *_of_busy_lines(file, zones, effort, notes)]
    said = sum(entry.kind in {"VEVENT", "VFREEBUSY"} for entry in file)
    return Read(union(piece for slot in found if (piece := slot.clip(within))), said, list(notes.found.values()))


def _is_ours(uid: str, ours: Container[str]) -> bool:
    """An entry of another resource's feed, or of another installation's, is busy time like any."""
    return uid.endswith(OURS) and uid.removesuffix(OURS) in ours


def _event(entry: Entry, zones: Zones, notes: Notes) -> Event | None:
    first = entry.find("DTSTART")
    try:
        if first is None:
            raise BadTime("DTSTART")
        start = read_time(first, first.value, zones.find)
        named = entry.find("RECURRENCE-ID")
        sequence = entry.text("SEQUENCE", "0")
        return Event(
            uid=entry.text("UID"),
            sequence=int(sequence) if sequence.isascii() and sequence.isdigit() and len(sequence) < 10 else 0,
            start=start,
            length=_length(entry, start, zones),
            busy=entry.text("TRANSP").upper() != "TRANSPARENT" and entry.text("STATUS").upper() != "CANCELLED",
            repeats=_repeats(entry, zones, notes),
            stands_for=read_time(named, named.value, zones.find) if named else None,
            and_following=bool(named and named.parameters.get("RANGE", "").upper() == "THISANDFUTURE"),
        )
    except (BadTime, OverflowError) as error:
        notes.add("bad_time", str(error))
        return None


def _length(entry: Entry, start: Wall, zones: Zones) -> Length:
    """Without end and duration a day lasts a day, and a time no time (RFC 5545, 3.6.1)."""
    if end := entry.find("DTEND"):
        return until(start, read_time(end, end.value, zones.find))
    if span := entry.text("DURATION"):
        return read_length(span)
    return Length(1 if start.whole_day else 0)


def _repeats(entry: Entry, zones: Zones, notes: Notes) -> Repeats:
    extra: list[tuple[Wall, Length | None]] = []
    excluded: list[Wall] = []
    for line in entry.all("RDATE"):
        for value in line.values:
            extra.append(read_period(line, value, zones.find) if "/" in value else (read_time(line, value, zones.find), None))
    for line in entry.all("EXDATE"):
        excluded += [read_time(line, value, zones.find) for value in line.values]
    for line in entry.all("EXRULE"):
        notes.add("no_exrule", line.value)
    return Repeats([line.value for line in entry.all("RRULE")], extra, excluded)


def _of_events(events: list[Event], within: Slot, effort: Effort, notes: Notes) -> Iterator[Slot]:
    """Events that repeat, less the occurrences that others of the same name stand for, and those themselves."""
    newest: dict[str, int] = defaultdict(int)
    for event in events:
        if event.stands_for is None:
            newest[event.uid] = max(newest[event.uid], event.sequence)
    others: dict[str, list[Event]] = defaultdict(list)
    for event in _newest_of_each(events):
        others[event.uid].append(event)
        yield from _slots([(event.start, event.length)] if event.busy else ())
    known = {uid: Overrides(named) for uid, named in others.items() if uid}
    whole = [event for event in events if event.stands_for is None and event.sequence == newest[event.uid]]
    planned = [_plan(event, known.get(event.uid, NO_OVERRIDES), within, effort, notes) for event in whole]
    for event, (reach, rules) in zip(whole, planned, strict=True):
        yield from _occurrences(event, known.get(event.uid, NO_OVERRIDES), reach, rules, effort)


class Overrides:
    """What stands for single occurrences of one event, or for all from one on."""

    def __init__(self, others: Iterable[Event]) -> None:
        named = [(other.stands_for, other) for other in others if other.stands_for]
        self.replaced = {was.instant for was, _ in named}
        self.days = {was.at.date() for was, _ in named if was.whole_day}
        later = sorted(((was.instant, was, other) for was, other in named if other.and_following), key=lambda one: one[0])
        self._from, self._following = [one[0] for one in later], later
        self.longest = max((_length_of(other) for _, other in named), default=timedelta())
        self.moved = max((abs(other.start.at - was.at) for _, was, other in later), default=timedelta())

    def ruling(self, instant: datetime) -> tuple[Wall, Event] | None:
        """The latest of those that hold from an occurrence on, with the one it stands for."""
        place = bisect_right(self._from, instant)
        return self._following[place - 1][1:] if place else None


NO_OVERRIDES = Overrides(())


def _length_of(event: Event) -> timedelta:
    """At most, whatever the clocks do."""
    return timedelta(days=event.length.days + 1) + event.length.rest


def _newest_of_each(events: Iterable[Event]) -> Iterable[Event]:
    """What stands for single occurrences, each in its latest form."""
    found: dict[tuple[str, datetime], Event] = {}
    for event in events:
        if event.stands_for is not None:
            key = (event.uid, event.stands_for.instant)
            if not event.uid or key not in found or found[key].sequence <= event.sequence:
                found[key if event.uid else (f"{len(found)}", event.start.instant)] = event
    return found.values()


def _plan(event: Event, others: Overrides, within: Slot, effort: Effort, notes: Notes) -> tuple[Slot, list[Planned]]:
    """Where starts matter, as what begins outside the window may reach into it; and the rules, none where one is none."""
    reach = within.widen(max(_length_of(event), others.longest) + others.moved, timedelta(days=1) + others.moved)
    try:
        return reach, plan(event.start, event.repeats.rules, reach, effort)
    except Invalid:
        notes.add("bad_rule", "; ".join(event.repeats.rules))
        return reach, []


def _occurrences(event: Event, others: Overrides, reach: Slot, rules: list[Planned], effort: Effort) -> Iterator[Slot]:
    for instant, (wall, length) in starts(event.start, rules, event.repeats, reach, effort).items():
        if instant in others.replaced or wall.at.date() in others.days:
            continue
        ruled = others.ruling(instant)
        if ruled is None:
            yield from _slots([(wall, length or event.length)] if event.busy else ())
        elif ruled[1].busy:
            yield from _slots([(shifted(wall, ruled[0], ruled[1].start), ruled[1].length)])


def _slots(times: Iterable[tuple[Wall, Length]]) -> Iterator[Slot]:
    for start, length in times:
        if slot := slot_of(start, length):
            yield slot


def _of_busy_lines(file: list[Entry], zones: Zones, effort: Effort, notes: Notes) -> Iterator[Slot]:
    """FREEBUSY lines of published busy times (RFC 5545, 3.8.2.6)."""
    for entry in file:
        for line in entry.all("FREEBUSY") if entry.kind == "VFREEBUSY" else ():
            if line.parameters.get("FBTYPE", "BUSY").upper() in FREE:
                continue
            for value in line.values:
                effort.take()
                try:
                    yield from _slots([read_period(line, value, zones.find)])
                except (BadTime, OverflowError):
                    notes.add("bad_time", value)


def as_document(notes: Iterable[Note]) -> list[Mapping[str, str]]:
    return [{"code": note.code, "value": note.value} for note in notes]
