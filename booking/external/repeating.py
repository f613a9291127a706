"""When an event of an iCalendar file takes place inside a window (RFC 5545, 3.8.5), however its rules are written.

Days are tried one by one as for our own series (docs/decisions/0008), so a rule that never comes true costs no more than any.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from itertools import chain, islice, product

from booking.external.lines import Unreadable
from booking.external.times import Length, Wall
from booking.recurrence import LONGEST_PERIOD, NO_RULE, Rule, days, read_rule
from marketplace.refusals import Invalid
from marketplace.slot import Slot

MOST_TIMES = 20_000
"""Occurrences in the window, of all events of a calendar."""
MOST_DAYS = 1_500_000
"""Days tried for all rules of a calendar: some seconds of work."""
CLOCK = {"BYHOUR": 24, "BYMINUTE": 60, "BYSECOND": 60}
WITHIN_A_DAY = {"HOURLY": (timedelta(hours=1), {"BYHOUR"}), "MINUTELY": (timedelta(minutes=1), {"BYHOUR", "BYMINUTE"})}
"""Frequencies of less than a day: what is counted, and the parts of the clock that run where the rule does not name them."""


class Effort:
    """What one calendar may still cost."""

    def __init__(self) -> None:
        self._days, self._times = MOST_DAYS, MOST_TIMES

    def try_days(self, count: int) -> None:
        """Raises: Unreadable."""
        self._days -= count
        if self._days < 0:
            raise Unreadable(reason="too_many")

    def take(self, count: int = 1) -> None:
        """Raises: Unreadable."""
        self._times -= count
        if self._times < 0:
            raise Unreadable(reason="too_many")


@dataclass(slots=True)
class Repeats:
    """What says when an event takes place beside its start; `extra` may last otherwise."""

    rules: list[str] = field(default_factory=list)
    extra: list[tuple[Wall, Length | None]] = field(default_factory=list)
    excluded: list[Wall] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Planned:
    """A rule with the times of day that it names, and the days that are to be tried."""

    rule: Rule
    clocks: list[time]
    since: date
    last: date
    counted: timedelta | None = None
    """An hour or a minute where it is those that the interval counts."""
    interval: int = 1

    def counts(self, at: datetime, start: datetime) -> bool:
        """Whether `at` lies in an hour or minute that the interval reaches from `start`."""
        if not self.counted:
            return True
        midnight = datetime.combine(start.date(), time())
        return ((at - midnight) // self.counted - (start - midnight) // self.counted) % self.interval == 0


def plan(start: Wall, rules: list[str], within: Slot, effort: Effort) -> list[Planned]:
    """What expanding the rules will take, charged before any of it is done. Raises: Unreadable (too much), Invalid (no rule)."""
    found = [one for text in rules if (one := _planned(start, text, within))]
    for one in found:
        effort.try_days(((one.last - one.since).days + LONGEST_PERIOD) * len(one.clocks))
    return found


def _planned(start: Wall, text: str, within: Slot) -> Planned | None:
    """From the window's first day on; from the event's start where its occurrences are counted."""
    parts = _parts(text)
    clocks = _clocks(parts, start.at.time())
    counted, _ = WITHIN_A_DAY.get(parts.get("FREQ", ""), (None, ()))
    rule = read_rule(_joined({**parts, "FREQ": "DAILY"} if counted else parts), start.zone)
    interval = rule.interval
    if counted:
        rule = replace(rule, interval=1)
    if rule.by_set_pos and len(clocks) > 1:
        raise Invalid(field="rrule", reason="repeats daily, weekly, monthly or yearly only")
    last = min(within.end.astimezone(start.zone).date(), rule.until.date() if rule.until else date.max)
    since = start.at.date() if rule.count else max(start.at.date(), within.start.astimezone(start.zone).date())
    return Planned(rule, clocks, since, last, counted, interval) if since <= last else None


def starts(
    start: Wall, planned: list[Planned], repeats: Repeats, within: Slot, effort: Effort
) -> dict[datetime, tuple[Wall, Length | None]]:
    """Every start inside `within` by its instant. Raises: Unreadable (too much)."""
    found: dict[datetime, tuple[Wall, Length | None]] = {}
    for wall in chain([start], *(_by_rule(start, one) for one in planned)):
        if within.start <= wall.instant < within.end:
            found[wall.instant] = (wall, None)
            effort.take()
    for wall, length in repeats.extra:
        effort.take()
        found[wall.instant] = (wall, length)
    for one in repeats.excluded:
        found.pop(one.instant, None)
    whole = {one.at.date() for one in repeats.excluded if one.whole_day}
    return {instant: told for instant, told in found.items() if not whole or told[0].at.date() not in whole}


def _by_rule(start: Wall, planned: Planned) -> Iterator[Wall]:
    """What follows the start, which is the first of those that are counted."""
    return islice(_after(start, planned), planned.rule.count and planned.rule.count - 1)


def _after(start: Wall, planned: Planned) -> Iterator[Wall]:
    """A time that a change of clocks leaves out does not take place and does not count."""
    rule = planned.rule
    for day in days(rule, start.at.date(), planned.last, since=planned.since):
        for clock in planned.clocks:
            wall = Wall(datetime.combine(day, clock), start.zone, start.whole_day)
            if (
                wall.at > start.at
                and wall.exists
                and planned.counts(wall.at, start.at)
                and not (rule.until and wall.at > rule.until)
            ):
                yield wall


def _parts(text: str) -> dict[str, str]:
    """By name, in capitals. Raises: Invalid (one is given twice)."""
    given = [part.partition("=") for part in text.strip().strip(";").split(";") if part]
    parts = {name.strip().upper(): value.strip().upper() for name, _, value in given}
    if len(parts) < len(given):
        raise Invalid(field="rrule", reason=NO_RULE)
    return parts


def _joined(parts: Mapping[str, str]) -> str:
    """What the rule says of days."""
    return ";".join(f"{name}={value}" for name, value in parts.items() if name not in CLOCK)


def _clocks(parts: Mapping[str, str], usual: time) -> list[time]:
    """The times of day that a rule names. Raises: Invalid."""
    _, running = WITHIN_A_DAY.get(parts.get("FREQ", ""), (None, set()))
    same = {"BYHOUR": usual.hour, "BYMINUTE": usual.minute, "BYSECOND": usual.second}
    hours, minutes, seconds = (
        _numbers(parts.get(name), below) or (range(below) if name in running else [same[name]]) for name, below in CLOCK.items()
    )
    return [time(*clock) for clock in sorted(set(product(hours, minutes, seconds)))]


def _numbers(text: str | None, below: int) -> list[int]:
    if text is None:
        return []
    found = [one.strip() for one in text.split(",")]
    if not all(one.isascii() and one.isdigit() and len(one) < 3 and int(one) < below for one in found):
        raise Invalid(field="rrule", reason=NO_RULE)
    return sorted({int(one) for one in found})


def shifted(wall: Wall, was: Wall, becomes: Wall) -> Wall:
    """`wall` moved as far as the occurrence that was at `was`."""
    by: timedelta = becomes.at - was.at
    return Wall(wall.at + by, becomes.zone, becomes.whole_day)
