"""A zone as a file's own VTIMEZONE says it (RFC 5545, 3.6.5), worked out for the years that matter.

It becomes a ZoneInfo of the file that such rules are compiled to (RFC 8536), so gaps and repeated hours are Python's to read.
"""

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from zoneinfo import ZoneInfo

from booking.external.lines import Entry
from booking.external.repeating import Effort, Repeats, plan, starts
from booking.external.times import LATEST, LONGEST_DAYS, TIME, BadTime, Wall, read_time
from marketplace.refusals import Invalid
from marketplace.slot import Slot

MOST_OBSERVANCES = 100
"""Of one zone; with two offsets each they fit the 256 kinds of time that the compiled form holds."""
OFFSET = re.compile(r"([+-])([01]\d|2[0-3])([0-5]\d)([0-5]\d)?", re.ASCII)
YEARLY = re.compile(r"(?:^|;)\s*FREQ\s*=\s*YEARLY\s*(?:;|$)", re.IGNORECASE)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BEGINNING, END = datetime(2, 1, 1, tzinfo=UTC), datetime(LATEST, 1, 1, tzinfo=UTC)
YEAR = timedelta(days=366)
BEFORE = timedelta(days=LONGEST_DAYS) + 2 * YEAR
"""What began before the window may reach into it; and the last change before that counts."""


@dataclass(frozen=True, slots=True)
class Change:
    """From an instant on the clocks show `after`; until then `before`."""

    at: datetime
    before: timedelta
    after: timedelta


def zone_defined(defined: Entry, within: Slot, effort: Effort) -> ZoneInfo | None:
    """None where it says no zone. Raises: Unreadable (too much)."""
    if not 0 < len(defined.parts) <= MOST_OBSERVANCES or not all(map(_is_yearly, defined.parts)):
        return None
    try:
        changes = [change for part in defined.parts for change in _changes(part, within, effort)]
    except (BadTime, Invalid, OverflowError):
        return None
    return _compiled(sorted(changes, key=lambda change: change.at)) if changes else None


def _is_yearly(part: Entry) -> bool:
    """Clocks are changed in no other way; what says so must not use up what the entries of the file may cost."""
    return all(YEARLY.search(line.value) for line in part.all("RRULE"))


def _changes(part: Entry, within: Slot, effort: Effort) -> list[Change]:
    """When an observance begins; its times are by the clock that ends with it. Raises: BadTime, Invalid, Unreadable."""
    before, after = _offset(part.text("TZOFFSETFROM")), _offset(part.text("TZOFFSETTO"))
    clock = _compiled([Change(EPOCH, before, before)])
    first = _onset(part.text("DTSTART"), clock)
    rules = [line.value for line in part.all("RRULE")]
    extra = [(read_time(line, value, lambda _: clock), None) for line in part.all("RDATE") for value in line.values]
    endless = not any("UNTIL" in rule.upper() or "COUNT" in rule.upper() for rule in rules)
    reach = Slot(within.start - BEFORE if endless else BEGINNING, within.end + YEAR)
    found = starts(first, plan(first, rules, reach, effort), Repeats(rules, [*extra]), reach, effort)
    return [Change(at, before, after) for at in {first.instant, *found} if at < END]


def _offset(value: str) -> timedelta:
    found = OFFSET.fullmatch(value)
    if not found:
        raise BadTime(value)
    span = timedelta(hours=int(found[2]), minutes=int(found[3]), seconds=int(found[4] or 0))
    return -span if found[1] == "-" else span


def _onset(value: str, clock: ZoneInfo) -> Wall:
    """Definitions often begin in 1601, which no event does."""
    found = TIME.fullmatch(value.strip().upper())
    if not found or found[4] is None or found[7] or not BEGINNING.year < int(found[1]) < LATEST:
        raise BadTime(value)
    try:
        return Wall(datetime(*(int(one) for one in found.groups()[:6])), clock)  # type: ignore[arg-type]  # noqa: DTZ001
    except ValueError as error:
        raise BadTime(value) from error


def _compiled(changes: Sequence[Change]) -> ZoneInfo:
    """A time zone file of version 2: the first kind of time counts before all changes, the last for good after them."""
    kinds = list(dict.fromkeys([changes[0].before, *(change.after for change in changes)]))
    instants = struct.pack(f">{len(changes)}q", *((change.at - EPOCH) // timedelta(seconds=1) for change in changes))
    becomes = bytes(kinds.index(change.after) for change in changes)
    types = b"".join(struct.pack(">lbb", kind // timedelta(seconds=1), 0, 0) for kind in kinds)
    empty = b"TZif2" + bytes(15) + struct.pack(">6l", 0, 0, 0, 0, 0, 0)
    head = b"TZif2" + bytes(15) + struct.pack(">6l", 0, 0, 0, len(changes), len(kinds), 4)
    return ZoneInfo.from_file(BytesIO(empty + head + instants + becomes + types + b"-00\0" + b"\n\n"))
