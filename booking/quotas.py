"""How much one customer may book of a resource in a day, a week or a month of its local time."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from booking.audience import Group
from booking.availability import judged, local_days, local_midnight
from booking.entitled import PUBLISHER
from marketplace.refusals import Reason
from marketplace.slot import Slot, union

ONE_DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
TICKS_AN_HOUR = timedelta(hours=1) // TICK


class Unit(StrEnum):
    """What is counted: bookings, or the hours of all units that they take."""

    COUNT = "count"
    HOURS = "hours"


class Per(StrEnum):
    """A local day of 23, 24 or 25 hours, a week from Monday, a calendar month."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class By(StrEnum):
    """Whose bookings count together. Staff who book for their own house are one organisation."""

    PERSON = "person"
    ORGANISATION = "organisation"
    GROUP = "group"


@dataclass(frozen=True, slots=True)
class Members:
    """Who shares a quota: everybody of an audience's group, or the organisations and people that are named."""

    name: str
    group: Group | None = None
    organisation_ids: frozenset[str] = frozenset()
    person_ids: frozenset[str] = frozenset()

    def hold(self, use: "Use") -> bool:
        """Whether it is a use of theirs."""
        if self.group is not None:
            return use.group is self.group
        return use.organisation_id in self.organisation_ids or use.person_id in self.person_ids


@dataclass(frozen=True, slots=True)
class Quota:
    """At most `limit` of `unit` in each period, for each person or organisation, or for all `members` together."""

    limit: int
    unit: Unit
    per: Per
    by: By
    members: Members | None = None


@dataclass(frozen=True, slots=True)
class Use:
    """A booking as quotas see it."""

    slot: Slot
    person_id: str
    organisation_id: str | None
    quantity: int = 1
    group: Group | None = None
    """Known only where a quota of a group asks."""


@dataclass(frozen=True, slots=True)
class Period:
    """A day, week or month: its first and last local day and its span."""

    first: date
    last: date
    slot: Slot


def periods(per: Per, within: Slot, zone: ZoneInfo) -> list[Period]:
    """Every period that `within` touches, in order."""
    firsts = sorted({_first_day(per, day) for day in local_days(within, zone)})
    return [_period(per, first, zone) for first in firsts]


def reach(quotas: Iterable[Quota], within: Slot, zone: ZoneInfo) -> Slot:
    """The time whose bookings must be known to judge a use of `within`."""
    first, last = (edge.astimezone(zone).date() for edge in (within.start, within.end - TICK))
    pers = {quota.per for quota in quotas}
    starts = [_period(per, _first_day(per, first), zone).slot.start for per in pers]
    return Slot(min(starts), max(_period(per, _first_day(per, last), zone).slot.end for per in pers))


def reasons(quotas: Iterable[Quota], asked: Use, others: Sequence[Use], zone: ZoneInfo) -> list[Reason]:
    """Each quota that `asked` breaks beside `others`, once, with the first period in which it does.

    `others` must hold all of the customer's uses that touch `reach`. A use counts in each period it touches: one booking in
    each, its hours in the one in which they lie.
    """
    return _broken(quotas, asked, zone, lambda quota, period: _used(quota, period, asked, others))


class Tally:
    """What is used of each quota in each period, kept as uses are added: one more is judged without counting them all again."""

    def __init__(self, quotas: Sequence[Quota], uses: Iterable[Use], zone: ZoneInfo) -> None:
        self._quotas, self._zone = quotas, zone
        self._sums: Counter[tuple[Quota, str | None, date]] = Counter()
        for use in uses:
            self.add(use)

    def add(self, use: Use) -> None:
        """It counts for all that are judged after it."""
        for quota in dict.fromkeys(self._quotas):
            if concerns(quota, use):
                for period in periods(quota.per, use.slot, self._zone):
                    self._sums[quota, _sharer(quota, use), period.first] += _share(quota, period, use)

    def reasons(self, asked: Use) -> list[Reason]:
        """As `reasons` beside all that were added."""
        return _broken(
            self._quotas, asked, self._zone, lambda quota, period: self._sums[quota, _sharer(quota, asked), period.first]
        )


def groups_of(quotas: Iterable[Quota], asked: Use) -> list[Members]:
    """With whom together the use counts."""
    return [quota.members for quota in quotas if quota.members and concerns(quota, asked)]


def full(quotas: Iterable[Quota], asked: Use, others: Sequence[Use], within: Slot, zone: ZoneInfo) -> list[Slot]:
    """The periods that `within` touches in which a use as long as `asked` finds no room; outside them every one does."""
    return union(
        period.slot
        for quota in quotas
        if concerns(quota, asked)
        for period in periods(quota.per, within, zone)
        if _used(quota, period, asked, others) + _weight(quota, asked.slot, asked.quantity) > _most(quota)
    )


def barred(
    quotas: Iterable[Quota], asked: Use, others: Sequence[Use], within: Slot, zone: ZoneInfo
) -> list[tuple[datetime, datetime]]:
    """Pairs of instants strictly between which a use as long as `asked` may not begin, for uses that lie in `within`.

    A use may reach into a period by what is left of its limit; where the whole use fits, the period bars nothing.
    """
    found = []
    for quota in quotas:
        for period in periods(quota.per, within, zone) if concerns(quota, asked) else ():
            left = _most(quota) - _used(quota, period, asked, others)
            spare = max(0, left // asked.quantity) * TICK if quota.unit is Unit.HOURS else TICK * 0
            fits = left >= 1 if quota.unit is Unit.COUNT else spare >= min(asked.slot.duration, period.slot.duration)
            if not fits:
                found.append((period.slot.start - asked.slot.duration + spare, period.slot.end - spare))
    return found


def concerns(quota: Quota, asked: Use) -> bool:
    """Whether a use counts against it at all: one of a group only where the booker belongs to it."""
    return quota.members is None or quota.members.hold(asked)


def _first_day(per: Per, day: date) -> date:
    if per is Per.WEEK:
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if per is Per.MONTH else day


def _period(per: Per, first: date, zone: ZoneInfo) -> Period:
    days = {Per.DAY: 1, Per.WEEK: 7, Per.MONTH: 31}[per]
    after = _first_day(per, first + timedelta(days=days)) if per is Per.MONTH else first + timedelta(days=days)
    return Period(first, after - ONE_DAY, Slot(local_midnight(first, zone), local_midnight(after, zone)))


def _broken(quotas: Iterable[Quota], asked: Use, zone: ZoneInfo, used_in: Callable[[Quota, Period], int]) -> list[Reason]:
    found = []
    for quota in quotas:
        for period in periods(quota.per, judged(asked.slot), zone) if concerns(quota, asked) else ():
            used, share = used_in(quota, period), _share(quota, period, asked)
            if used + share > _most(quota):
                found.append(_reason(quota, period, used, share))
                break
    return found


def _sharer(quota: Quota, use: Use) -> str | None:
    """Whose uses count together with it: by name, None for the members and for the house's staff."""
    if quota.members is not None:
        return None
    return use.person_id if quota.by is By.PERSON else use.organisation_id


def _together(quota: Quota, asked: Use, other: Use) -> bool:
    return concerns(quota, other) and _sharer(quota, asked) == _sharer(quota, other)


def _used(quota: Quota, period: Period, asked: Use, others: Iterable[Use]) -> int:
    return sum(_share(quota, period, other) for other in others if _together(quota, asked, other))


def _most(quota: Quota) -> int:
    return quota.limit if quota.unit is Unit.COUNT else quota.limit * TICKS_AN_HOUR


def _share(quota: Quota, period: Period, use: Use) -> int:
    """What of `use` counts in `period`: 1 booking, or its ticks there times its units."""
    inside = use.slot.clip(period.slot)
    return _weight(quota, inside, use.quantity) if inside else 0


def _weight(quota: Quota, slot: Slot, quantity: int) -> int:
    return 1 if quota.unit is Unit.COUNT else slot.duration // TICK * quantity


def _reason(quota: Quota, period: Period, used: int, asked: int) -> Reason:
    counts = {"used": used, "asked": asked}
    values = {
        "limit": quota.limit,
        **{name: count if quota.unit is Unit.COUNT else _hours(count) for name, count in counts.items()},
        "per": quota.per.value,
        "by": quota.by.value,
        **({"group": quota.members.name} if quota.members else {}),
        "since": period.first.isoformat(),
        "until": period.last.isoformat(),
    }
    shared = "_shared" if quota.members else ""
    return Reason(f"over_quota_{quota.unit.value}{shared}", values, PUBLISHER)


def _hours(ticks: int) -> int | float:
    """Hours to two decimals, whole ones without."""
    hours = round(ticks / TICKS_AN_HOUR, 2)
    return int(hours) if hours.is_integer() else hours
