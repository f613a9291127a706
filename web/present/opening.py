"""A week of opening hours as a person types it: a clock is read, an interval is judged, a preset is told from an own week."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from marketplace.refusals import Refusal

Span = Mapping[str, int]
"""{"weekday": 0-6, "open_min": 540, "close_min": 1020}, minutes of the local day; 1440 ends it."""

WORKDAYS, WEEK = range(5), range(7)
PRESETS: Mapping[str, Sequence[Span]] = {
    "workdays": [{"weekday": day, "open_min": 510, "close_min": 1050} for day in WORKDAYS],
    "daily": [{"weekday": day, "open_min": 480, "close_min": 1200} for day in WEEK],
    "always": [],
}
"""Local wall clock, every day of the week alike; no interval at all is day and night."""

OWN = "week"
FEWEST_PAIRS = 2
CLOCK = re.compile(r"(\d{1,2})(?:[:.]?(\d{2}))?")
FIELD = re.compile(r"(open|close)_([0-6])_(\d{1,2})")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a field: not_a_clock, half, backwards, overlaps, no_day or both."""

    field: str
    code: str


class WrongHours(Refusal):
    """The week cannot be kept as typed; every fault is named with its field."""

    code = "wrong_hours"

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(fields=[fault.field for fault in faults])
        self.faults = tuple(faults)


def read_clock(text: str) -> int | None:
    """Minutes since midnight; None for what is no time of day. Full-width digits and colons are read too.

    >>> [read_clock(text) for text in ("08:30", "8", "1730", "２４：００", "24:30", "noon")]
    [510, 480, 1050, 1440, None, None]
    """
    found = CLOCK.fullmatch(unicodedata.normalize("NFKC", text).strip())
    if not found:
        return None
    hour, minute = int(found[1]), int(found[2] or 0)
    total = hour * 60 + minute
    return total if minute < 60 and total <= 1440 else None


def as_clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def merged(week: Iterable[Span]) -> list[Span]:
    """The same open time in order, touching and overlapping intervals joined."""
    found: list[dict[str, int]] = []
    for day, opens, closes in sorted((span["weekday"], span["open_min"], span["close_min"]) for span in week):
        last = found[-1] if found else None
        if last and last["weekday"] == day and opens <= last["close_min"]:
            last["close_min"] = max(last["close_min"], closes)
        else:
            found.append({"weekday": day, "open_min": opens, "close_min": closes})
    return list(found)


def as_fields(week: Iterable[Span]) -> dict[str, str]:
    """The week as the form's fields: `open_0_1` and `close_0_1` are Monday's first interval."""
    fields, counts = {}, dict.fromkeys(WEEK, 0)
    for span in merged(week):
        day = span["weekday"]
        counts[day] += 1
        fields[f"open_{day}_{counts[day]}"] = as_clock(span["open_min"])
        fields[f"close_{day}_{counts[day]}"] = as_clock(span["close_min"])
    return fields


def pairs(typed: Mapping[str, str]) -> list[int]:
    """How many pairs of fields each weekday shows: one more than it uses, two at least."""
    used = dict.fromkeys(WEEK, 0)
    for name, value in typed.items():
        if value and (found := FIELD.fullmatch(name)):
            used[int(found[2])] = max(used[int(found[2])], int(found[3]))
    return [max(FEWEST_PAIRS, used[day] + 1) for day in WEEK]


def weekday_of(field: str) -> int | None:
    """The day a field of the week belongs to; None for other fields."""
    found = FIELD.fullmatch(field)
    return int(found[2]) if found else None


def read_week(typed: Mapping[str, str]) -> tuple[list[Span], list[Fault]]:
    """The intervals of the form's fields, and what is wrong with them; a day without any is closed."""
    week: list[Span] = []
    faults: list[Fault] = []
    for day, count in zip(WEEK, pairs(typed), strict=True):
        spans: list[tuple[int, int, str]] = []
        for number in range(1, count + 1):
            found = _read_pair(typed, day, number)
            if isinstance(found, Fault):
                faults.append(found)
            elif found:
                spans.append(found)
        spans.sort()
        faults += [Fault(after[2], "overlaps") for before, after in pairwise(spans) if after[0] < before[1]]
        week += [{"weekday": day, "open_min": opens, "close_min": closes} for opens, closes, _ in spans]
    return week, faults


def _read_pair(typed: Mapping[str, str], day: int, number: int) -> tuple[int, int, str] | Fault | None:
    first, last = f"open_{day}_{number}", f"close_{day}_{number}"
    texts = typed.get(first, ""), typed.get(last, "")
    if not any(texts):
        return None
    if not all(texts):
        return Fault(last if texts[0] else first, "half")
    opens, closes = read_clock(texts[0]), read_clock(texts[1])
    if opens is None or closes is None:
        return Fault(first if opens is None else last, "not_a_clock")
    return (opens, closes, first) if opens < closes else Fault(last, "backwards")


def shown_choice(present: Sequence[Span]) -> str:
    """What the editor shows as chosen for the hours in force."""
    return OWN if present else "always"


def chosen_hours(present: Sequence[Span], typed: Mapping[str, str]) -> Sequence[Span]:
    """The hours that a sent editor asks for. What was changed counts; a preset and a changed week contradict each other.

    Raises: WrongHours.
    """
    chosen = typed.get("hours", "keep")
    if chosen not in PRESETS and chosen != OWN:
        return present
    week, faults = read_week(typed)
    touched = bool(faults) or merged(week) != merged(present)
    if chosen in PRESETS and not touched:
        return PRESETS[chosen]
    if chosen != OWN and chosen != shown_choice(present):
        raise WrongHours([Fault("hours", "both")])
    if faults or not week:
        raise WrongHours(faults or [Fault("hours", "no_day")])
    return week if touched else present
