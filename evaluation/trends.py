"""What the overview draws: weeks, the hours of a week, and how institutions compare. Pure sums over states."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

from evaluation.assess import Evaluation, UnitResult
from evaluation.facts import Status, Use
from evaluation.figures import ratio
from evaluation.metrics import combined, unit_seconds
from evaluation.spans import Span, clip, length, subtract, union

HOUR_S = 3600
WEEK_DAYS = 7


@dataclass(frozen=True, slots=True)
class Week:
    """One week (or the part of it inside the window), with exact sums over all units."""

    start: datetime
    end: datetime
    available_s: int
    used_available_s: int
    eff_s: int
    open_s: int
    seen_s: int
    firms: int
    revenue_minor: int

    @property
    def utilisation(self) -> Fraction | None:
        """Use inside available open time over available open time."""
        return ratio(self.used_available_s, self.available_s)

    @property
    def coverage(self) -> Fraction | None:
        return ratio(self.seen_s, self.open_s)


@dataclass(frozen=True, slots=True)
class HeatCell:
    """A weekday (0 = Monday) and hour of the local week: seconds in use over seconds in service."""

    weekday: int
    hour: int
    used_s: int
    in_service_s: int

    @property
    def share(self) -> Fraction | None:
        return ratio(self.used_s, self.in_service_s)


def weeks(found: Evaluation, period: Span, zone: ZoneInfo) -> list[Week]:
    """Weeks from local Monday to local Monday, the first and last cut by the period."""
    cuts = list(_mondays(period, zone))
    units = list(found.units.values())
    return [_week(units, span) for span in pairwise(cuts)]


def _mondays(period: Span, zone: ZoneInfo) -> Iterable[int]:
    start, end = period
    yield start
    day = datetime.fromtimestamp(start, UTC).astimezone(zone).date()
    day += timedelta(days=WEEK_DAYS - day.weekday())
    while (monday := int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())) < end:
        yield monday
        day += timedelta(days=WEEK_DAYS)
    yield end


def _week(units: Sequence[UnitResult], span: Span) -> Week:
    available = used = eff = opened = silent = revenue = 0
    firms: set[str] = set()
    for unit in units:
        states = unit.states
        open_now = clip(states.open, span)
        free = subtract(open_now, states.down.both)
        available += length(free) * unit.facts.unit.capacity
        used += unit_seconds(states, unit.facts, free)
        eff += length(clip(used_spans(unit), span))
        opened += length(open_now)
        silent += length(clip(states.silent, span))
        for booking, result, category in zip(unit.facts.bookings, states.results, states.category, strict=True):
            if category is not Use.EXT or result.status is not Status.FULFILLED:
                continue
            if span[0] <= booking.start < span[1] and booking.sme and booking.user_org:
                firms.add(booking.user_org)
            if span[0] < booking.end <= span[1]:
                revenue += (booking.fee_minor or 0) - (booking.refund_minor or 0)
    start, end = (datetime.fromtimestamp(at, UTC) for at in span)
    return Week(start, end, available, used, eff, opened, opened - silent, len(firms), revenue)


def used_spans(unit: UnitResult) -> list[Span]:
    """Effective time of a unit as disjoint spans."""
    return union((piece.start, piece.end) for piece in unit.states.pieces)


def heatmap(found: Evaluation, zone: ZoneInfo) -> list[HeatCell]:
    """168 cells in order; hours are those of `zone`, so a repeated hour counts in its own cell twice."""
    used = [0] * (24 * WEEK_DAYS)
    served = [0] * (24 * WEEK_DAYS)
    for unit in found.units.values():
        _spread(used_spans(unit), zone, used)
    for window, units in Counter(unit.states.window for unit in found.units.values()).items():
        alike = [0] * (24 * WEEK_DAYS)
        _spread([window], zone, alike)
        served = [so_far + units * seconds for so_far, seconds in zip(served, alike, strict=True)]
    return [HeatCell(at // 24, at % 24, used[at], served[at]) for at in range(24 * WEEK_DAYS)]


def _spread(spans: Iterable[Span], zone: ZoneInfo, cells: list[int]) -> None:
    """Add each span's seconds to the cells of the local hours it lies in; zones change at quarter hours at the finest."""
    quarter = HOUR_S // 4
    for start, end in spans:
        at = start
        while at < end:
            local = datetime.fromtimestamp(at, UTC).astimezone(zone)
            steady = end - at >= HOUR_S and _offset(at, zone) == _offset(at + HOUR_S - 1, zone)
            whole = steady and local.minute == 0 and local.second == 0
            until = at + HOUR_S if whole else min(end, (at // quarter + 1) * quarter)
            cells[local.weekday() * 24 + local.hour] += until - at
            at = until


def _offset(at: int, zone: ZoneInfo) -> timedelta | None:
    return datetime.fromtimestamp(at, UTC).astimezone(zone).utcoffset()


@dataclass(frozen=True, slots=True)
class Standing:
    """One institution in the comparison; shares are exact, None where not applicable."""

    institution_id: str
    units: int
    utilisation: Fraction | None
    eff_s: int
    sme_share: Fraction | None
    """Small and medium firms among its distinct external users' organisations."""
    revenue_minor: int
    coverage: Fraction | None
    change: Fraction | None
    """Utilisation less that of the comparison window."""


def standings(found: Evaluation, before: Evaluation | None) -> list[Standing]:
    """By utilisation, best first, without any last."""
    earlier = {name: one.figures["util_capacity"].value for name, one in before.organisations.items()} if before else {}
    rows = [
        Standing(
            institution_id=name,
            units=one.tally.units,
            utilisation=one.figures["util_capacity"].value,
            eff_s=one.tally.eff_s,
            sme_share=ratio(len(one.tally.ext_smes), len(one.tally.ext_orgs)),
            revenue_minor=one.tally.revenue_minor,
            coverage=one.figures["coverage"].value,
            change=_change(one.figures["util_capacity"].value, earlier.get(name)),
        )
        for name, one in found.organisations.items()
    ]
    return sorted(rows, key=lambda row: (row.utilisation is None, -(row.utilisation or 0), row.institution_id))


def _change(now: Fraction | None, before: Fraction | None) -> Fraction | None:
    return None if now is None or before is None else now - before


@dataclass(frozen=True, slots=True)
class Kpi:
    """One headline figure with its comparison; seconds, shares, counts or minor units as `code` says."""

    code: str
    value: Fraction | None
    before: Fraction | None
    series: Sequence[Fraction | None]


def kpis(found: Evaluation, before: Evaluation | None, by_week: Sequence[Week]) -> list[Kpi]:
    """utilisation, effective seconds, small firms served, confirmed share, revenue."""
    now, then = _headline(found), _headline(before) if before else {}
    series: Mapping[str, list[Fraction | None]] = {
        "util_capacity": [week.utilisation for week in by_week],
        "eff_s": [Fraction(week.eff_s) for week in by_week],
        "ext_smes": [Fraction(week.firms) for week in by_week],
        "coverage": [week.coverage for week in by_week],
        "ext_revenue": [Fraction(week.revenue_minor) for week in by_week],
    }
    return [Kpi(code, now[code], then.get(code), series[code]) for code in series]


def _headline(found: Evaluation) -> dict[str, Fraction | None]:
    sums = combined(unit.tally for unit in found.units.values())
    available = sums.open_unit_s - sums.pd_s - sums.ud_s
    return {
        "util_capacity": ratio(sums.eff_available_unit_s, available),
        "eff_s": Fraction(sums.eff_s),
        "ext_smes": Fraction(len(sums.ext_smes)),
        "coverage": ratio(sums.open_s - sums.silent_s, sums.open_s),
        "ext_revenue": Fraction(sums.revenue_minor),
    }
