"""Slots of a series: an RFC 5545 rule over the wall clock of the resource, so that 09:00 stays 09:00 across a change of time.

Days are tried one by one up to a bound, so a rule that never comes true ends as soon as any other (docs/decisions/0008).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from itertools import groupby, islice
from zoneinfo import ZoneInfo

from marketplace.refusals import Invalid
from marketplace.slot import EmptySlot, Slot

LONGEST = 1000
"""Occurrences of one series."""
FURTHEST = timedelta(days=3 * 366)
"""From the first occurrence to the last: of a daily rule more than LONGEST."""
LONGEST_TEXT, LONGEST_PERIOD = 500, 366
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
YEARLY_ONLY = {"BYWEEKNO", "BYYEARDAY"}
PARTS = {"FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "BYMONTHDAY", "BYMONTH", "BYSETPOS", "WKST", *YEARLY_ONLY}
BY_DAY = re.compile(r"([+-]?[1-9]\d?)?(MO|TU|WE|TH|FR|SA|SU)")
CLOCK = re.compile(r"(BYHOUR|BYMINUTE|BYSECOND)=\d{1,2}(,\d{1,2})*")
"""Of the standard, but each occurrence has the time of day of the first."""
NO_RULE = "is no recurrence rule such as FREQ=WEEKLY;COUNT=10"
NOT_OFFERED = "holds {part}, which is not offered here: every time of a series has the clock times of its first"


@dataclass(frozen=True, slots=True)
class Skipped:
    """An occurrence whose wall-clock start or end does not exist on its day; both without zone."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Rule:
    """What RFC 5545, 3.3.10, says of days; `until` is a wall-clock time. Days of the week count from Monday = 0."""

    freq: str
    interval: int = 1
    count: int | None = None
    until: datetime | None = None
    by_day: tuple[tuple[int | None, int], ...] = ()
    by_month_day: tuple[int, ...] = ()
    by_month: tuple[int, ...] = ()
    by_week_no: tuple[int, ...] = ()
    by_year_day: tuple[int, ...] = ()
    by_set_pos: tuple[int, ...] = ()
    week_start: int = 0


def occurrences(text: str, first: Slot, zone: ZoneInfo) -> list[Slot | Skipped]:
    """The slots of the series in order, `first` being the first of them.

    Each keeps the wall-clock times of `first`; in a repeated hour the earlier instant counts.
    Raises: Invalid (no such rule, no end, more than LONGEST, too far ahead, or `first` is none of its occurrences).
    """
    rule = parse(text, zone)
    start, end = (at.astimezone(zone).replace(tzinfo=None) for at in (first.start, first.end))
    bound = start + FURTHEST
    starts = (datetime.combine(day, start.time()) for day in days(rule, start.date(), bound.date()))
    walls = list(islice((at for at in starts if rule.until is None or at <= rule.until), rule.count or LONGEST + 1))
    if len(walls) > LONGEST:
        raise Invalid(field="rrule", reason="gives more than {longest} occurrences", longest=LONGEST)
    if not walls or walls[0] != start:
        raise Invalid(field="rrule", reason="does not begin with the slot that was given")
    if (rule.count and len(walls) < rule.count) or (rule.until and rule.until > bound):
        raise Invalid(field="rrule", reason="goes on for more than three years")
    return [first if at == start else _on(at, at + (end - start), zone) for at in walls]


def days(rule: Rule, start: date, last: date, *, since: date | None = None) -> Iterator[date]:
    """The days from `start` to `last` that the rule names; those before `since` are left out without being tried."""
    first = max(start, since or start)
    whole = LONGEST_PERIOD if rule.by_set_pos else 1  # places in a set are counted to the period's last day
    span = (first + timedelta(days=n) for n in range(-_into_period(rule, first), (last - first).days + whole))
    for period, inside in groupby(span, key=lambda day: _period(rule, day)):
        if (period - _period(rule, start)) % rule.interval:
            continue
        named = [day for day in inside if _names(rule, day, start)]
        if rule.by_set_pos:
            chosen = {at - 1 if at > 0 else len(named) + at for at in rule.by_set_pos}
            named = [day for at, day in enumerate(named) if at in chosen]
        yield from (day for day in named if first <= day <= last)


def _into_period(rule: Rule, start: date) -> int:
    """How many days of its period lie before `start`: places in a set are counted from the period's first day."""
    return {
        "DAILY": 0,
        "WEEKLY": (start.weekday() - rule.week_start) % 7,
        "MONTHLY": start.day - 1,
        "YEARLY": start.timetuple().tm_yday - 1,
    }[rule.freq]


def _period(rule: Rule, day: date) -> int:
    if rule.freq == "DAILY":
        return day.toordinal()
    if rule.freq == "WEEKLY":
        return (day.toordinal() - 1 - rule.week_start) // 7
    return day.year * 12 + day.month if rule.freq == "MONTHLY" else day.year


def _names(rule: Rule, day: date, start: date) -> bool:
    """Whether the rule names `day` in a period that counts."""
    if rule.by_month and day.month not in rule.by_month:
        return False
    if not all(
        _among(numbers, place(day))
        for numbers, place in (
            (rule.by_month_day, _month),
            (rule.by_year_day, _year),
            (rule.by_week_no, partial(_week, rule.week_start)),
        )
        if numbers
    ):
        return False
    if rule.by_day:
        return any(day.weekday() == weekday and _nth(rule, day, nth) for nth, weekday in rule.by_day)
    if rule.by_month_day or rule.by_year_day or rule.freq == "DAILY":
        return True
    if rule.by_week_no or rule.freq == "WEEKLY":
        return day.weekday() == start.weekday()
    same_month = rule.freq == "MONTHLY" or bool(rule.by_month) or day.month == start.month
    return same_month and day.day == start.day


def _among(numbers: tuple[int, ...], place: tuple[int, int]) -> bool:
    """Whether the place, of so many, is one of `numbers`, which may count from the end."""
    at, length = place
    return at in numbers or at - length - 1 in numbers


def _nth(rule: Rule, day: date, nth: int | None) -> bool:
    """Whether `day` is the nth of its weekday in its month, or in its year where a yearly rule names no month."""
    if nth is None:
        return True
    at, length = _month(day) if rule.freq == "MONTHLY" or rule.by_month else _year(day)
    return (at - 1) // 7 + 1 == nth or -((length - at) // 7 + 1) == nth


def _month(day: date) -> tuple[int, int]:
    """The day's number in its month, and how many days that has."""
    following = (day.replace(day=28) + timedelta(days=4)).replace(day=1)
    return day.day, (following - timedelta(days=1)).day


def _year(day: date) -> tuple[int, int]:
    return day.timetuple().tm_yday, date(day.year, 12, 31).timetuple().tm_yday


def _week(week_start: int, day: date) -> tuple[int, int]:
    """The number of the day's week in the year that has most of that week, and how many weeks that year has."""
    at, length = _year(day + timedelta(days=3 - (day.weekday() - week_start) % 7))
    number = (at - 1) // 7 + 1
    return number, number + (length - at) // 7


def _on(start: datetime, end: datetime, zone: ZoneInfo) -> Slot | Skipped:
    instants = [at.replace(tzinfo=zone).astimezone(UTC) for at in (start, end)]
    exist = all(instant.astimezone(zone).replace(tzinfo=None) == at for instant, at in zip(instants, (start, end), strict=True))
    try:
        return Slot(*instants) if exist else Skipped(start, end)
    except EmptySlot:
        return Skipped(start, end)


def parse(text: str, zone: ZoneInfo) -> Rule:
    """A rule that comes to an end. Raises: Invalid."""
    rule = read_rule(text, zone)
    if (rule.count is None) == (rule.until is None):
        raise Invalid(field="rrule", reason="needs either COUNT or UNTIL")
    return rule


def read_rule(text: str, zone: ZoneInfo) -> Rule:
    """Any rule of days, with an end or without. Raises: Invalid."""
    given = [part.partition("=") for part in text.strip().upper().removeprefix("RRULE:").rstrip(";").split(";")]
    parts = {name: value for name, _, value in given}
    if len(parts) == len(given) and (clock := next((found for part in given if (found := CLOCK.fullmatch("".join(part)))), None)):
        raise Invalid(field="rrule", reason=NOT_OFFERED, part=clock[1])
    if len(text) > LONGEST_TEXT or len(parts) < len(given) or not all(parts.values()) or not set(parts) <= PARTS:
        raise Invalid(field="rrule", reason=NO_RULE)
    if parts.get("FREQ") not in FREQUENCIES:
        raise Invalid(field="rrule", reason="repeats daily, weekly, monthly or yearly only")
    by_day = _by_day(parts.get("BYDAY"))
    if parts["FREQ"] in {"DAILY", "WEEKLY"} and any(nth for nth, _ in by_day):
        raise Invalid(field="rrule", reason=NO_RULE)
    if parts["FREQ"] == "DAILY" and "BYSETPOS" in parts:
        raise Invalid(field="rrule", reason=NO_RULE)
    if parts["FREQ"] == "WEEKLY" and "BYMONTHDAY" in parts:
        raise Invalid(field="rrule", reason=NO_RULE)
    if YEARLY_ONLY & set(parts) and parts["FREQ"] != "YEARLY":
        raise Invalid(field="rrule", reason=NO_RULE)
    if "BYWEEKNO" in parts and any(nth for nth, _ in by_day):
        raise Invalid(field="rrule", reason=NO_RULE)
    if parts.get("WKST", "MO") not in WEEKDAYS:
        raise Invalid(field="rrule", reason=NO_RULE)
    return Rule(
        freq=parts["FREQ"],
        interval=_numbers(parts.get("INTERVAL", "1"), 1, 1000)[0],
        count=_numbers(parts["COUNT"], 1, 10**9)[0] if "COUNT" in parts else None,
        until=_until(parts["UNTIL"], zone) if "UNTIL" in parts else None,
        by_day=by_day,
        by_month_day=_numbers(parts.get("BYMONTHDAY"), -31, 31),
        by_month=_numbers(parts.get("BYMONTH"), 1, 12),
        by_week_no=_numbers(parts.get("BYWEEKNO"), -53, 53),
        by_year_day=_numbers(parts.get("BYYEARDAY"), -366, 366),
        by_set_pos=_numbers(parts.get("BYSETPOS"), -366, 366),
        week_start=WEEKDAYS.index(parts.get("WKST", "MO")),
    )


def _numbers(text: str | None, low: int, high: int) -> tuple[int, ...]:
    """Whole numbers but 0, parted by commas."""
    if text is None:
        return ()
    if not re.fullmatch(r"[+-]?\d{1,9}(,[+-]?\d{1,9})*", text, re.ASCII):
        raise Invalid(field="rrule", reason=NO_RULE)
    found = tuple(int(one) for one in text.split(","))
    if not all(low <= one <= high and one for one in found):
        raise Invalid(field="rrule", reason=NO_RULE)
    return found


def _by_day(text: str | None) -> tuple[tuple[int | None, int], ...]:
    found = [BY_DAY.fullmatch(one) for one in text.split(",")] if text else []
    if not all(found):
        raise Invalid(field="rrule", reason=NO_RULE)
    return tuple((int(one[1]) if one[1] else None, WEEKDAYS.index(one[2])) for one in found if one)


def _until(text: str, zone: ZoneInfo) -> datetime:
    """The last wall-clock start allowed: given as an instant in UTC, a wall-clock time, or a day to its end."""
    try:
        if "T" not in text:
            return datetime.combine(datetime.strptime(text, "%Y%m%d").date(), time(23, 59, 59))  # noqa: DTZ007 - a day has no zone
        at = datetime.strptime(text.removesuffix("Z"), "%Y%m%dT%H%M%S")  # noqa: DTZ007 - the zone is given aside
        return at.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None) if text.endswith("Z") else at
    except (ValueError, OverflowError) as error:
        raise Invalid(field="rrule", reason="UNTIL is no day or time such as 20261231 or 20261231T010000Z") from error
