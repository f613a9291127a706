"""The additive figures of a unit: whatever an average or a ratio is made of, so that an organisation's is a ratio of sums."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from fractions import Fraction
from itertools import chain
from typing import Any

from evaluation.attribution import Piece
from evaluation.facts import Parameters, Reservation, Status, UnitFacts, Use
from evaluation.requests import Demand, demand_of
from evaluation.spans import Span, clip, intersect, length, subtract, union
from evaluation.states import State, UnitStates

HELD = frozenset({Status.FULFILLED, Status.NO_SHOW, Status.PROVIDER_FAILED, Status.UNVERIFIABLE})
"""Statuses whose time counts as booked."""

ANSWERABLE = frozenset({Status.FULFILLED, Status.NO_SHOW})
"""Statuses that say something about the user."""

UNBOOKED_RUN_SUSPECT_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class Tally:
    """Sums of one unit, or of many. `_s` seconds; `unit_` seconds times positions; sets count what is distinct."""

    units: int = 0
    in_service: Fraction = Fraction()
    """Days in service over days in the period: this unit's part of N_w."""
    open_units: int = 0
    ledger: Mapping[State, int] = field(default_factory=dict)
    window_s: int = 0
    open_s: int = 0
    open_unit_s: int = 0
    pd_s: int = 0
    ud_s: int = 0
    silent_s: int = 0
    eff_s: int = 0
    eff_graded_s: int = 0
    eff_unit_s: int = 0
    eff_available_unit_s: int = 0
    offhours_s: int = 0
    class_a_s: int = 0
    class_b_s: int = 0
    class_c_s: int = 0
    class_d_s: int = 0
    booked_s: int = 0
    idle_booked_s: int = 0
    idle_other_s: int = 0
    idle_base_s: int = 0
    quota_s: Fraction = Fraction()
    quota_eff_s: int = 0
    quota_capped_s: Fraction = Fraction()
    fulfilled: int = 0
    no_show: int = 0
    provider_failed: int = 0
    unverifiable: int = 0
    conflict: int = 0
    confirmed: int = 0
    cancelled_late: int = 0
    lead_s: tuple[int, ...] = ()
    ratings: tuple[Fraction, ...] = ()
    ext_users: frozenset[str] = frozenset()
    ext_orgs: frozenset[str] = frozenset()
    ext_smes: frozenset[str] = frozenset()
    revenue_minor: int = 0
    no_show_fees_minor: int = 0
    related_fees_minor: int = 0
    demand: Demand = field(default_factory=Demand)
    flags: frozenset[str] = frozenset()


def combined(tallies: Iterable[Tally]) -> Tally:
    """The sum of many; one pass, whatever their number."""
    many = list(tallies)
    return Tally(**{f.name: _sum([getattr(tally, f.name) for tally in many]) for f in fields(Tally)}) if many else Tally()


def _sum(values: Sequence[Any]) -> Any:
    first = values[0]
    if isinstance(first, frozenset):
        return frozenset().union(*values)
    if isinstance(first, tuple):
        return tuple(chain.from_iterable(values))
    if isinstance(first, Demand):
        return Demand.combined(values)
    if isinstance(first, Mapping):
        return {state: sum(value.get(state, 0) for value in values) for state in State}
    return sum(values, type(first)())


def counting(purposes_excluded: frozenset[str]) -> Callable[[Reservation, str], Use]:
    """As whose use a booking counts: related parties, the owner itself and excluded purposes are never external."""

    def counted(booking: Reservation, owner: str) -> Use:
        inner = booking.related_party or booking.user_org == owner or booking.purpose in purposes_excluded
        return Use.INT if booking.category is Use.EXT and inner else booking.category

    return counted


def tally(facts: UnitFacts, states: UnitStates, period: Span, params: Parameters, served: Mapping[str, Sequence[int]]) -> Tally:
    """The sums of one unit. `served`: per requester the instants at which they were served anywhere, sorted."""
    capacity = facts.unit.capacity
    available = subtract(states.open, states.down.both)
    eff = length((p.start, p.end) for p in states.pieces)
    booked, unbooked = _classes(states.confirmed)
    attested = eff - booked - unbooked
    graded = booked + unbooked + min(attested, int((booked + unbooked) * params.attested_cap))
    share = service_share(facts, period)
    quota = facts.unit.quota_hours * 3600 * share if facts.unit.quota_hours is not None else None
    return Tally(
        units=1,
        in_service=share,
        open_units=int(bool(states.open) and share >= params.open_share_min),
        ledger=states.ledger,
        window_s=states.window[1] - states.window[0],
        open_s=length(states.open),
        open_unit_s=capacity * length(states.open),
        pd_s=capacity * length(intersect(states.down.planned, states.open)),
        ud_s=capacity * length(intersect(states.down.unplanned, states.open)),
        silent_s=length(states.silent),
        eff_s=eff,
        eff_graded_s=graded,
        eff_unit_s=sum((p.end - p.start) * _positions(p, facts) for p in states.pieces),
        eff_available_unit_s=unit_seconds(states, facts, available),
        offhours_s=eff - length(intersect(union((p.start, p.end) for p in states.pieces), states.open)),
        class_a_s=booked,
        class_b_s=unbooked,
        class_c_s=attested,
        class_d_s=states.self_reported_s,
        quota_s=quota or Fraction(),
        quota_eff_s=eff if quota else 0,
        quota_capped_s=min(Fraction(graded), quota) if quota else Fraction(),
        flags=_suspicions(states),
        demand=demand_of(facts, states.window, params, served),
        **_idle(facts, states),
        **_counts(facts, states, params),
        **_fees(facts, states),
    )


def service_share(facts: UnitFacts, period: Span) -> Fraction:
    """Days in service over days in the period, local days of the unit's zone, listing day included."""
    window = facts.unit.in_service(period)
    if window == period:
        return Fraction(1)
    days = [datetime.fromtimestamp(at, UTC).astimezone(facts.unit.zone).date() for at in (*window, *period)]
    served, whole = (days[1] - days[0]).days, (days[3] - days[2]).days
    return Fraction(served, whole) if whole else Fraction(window[1] - window[0], period[1] - period[0])


def _classes(pieces: Iterable[Piece]) -> tuple[int, int]:
    booked = unbooked = 0
    for start, end, owners in pieces:
        if owners:
            booked += end - start
        else:
            unbooked += end - start
    return booked, unbooked


def _positions(piece: Piece, facts: UnitFacts) -> int:
    wanted = sum(facts.bookings[owner].qty for owner in piece.owners) if piece.owners else 1
    return min(wanted, facts.unit.capacity)


def unit_seconds(states: UnitStates, facts: UnitFacts, within: Sequence[Span]) -> int:
    """Effective seconds inside `within`, times the positions in use."""
    if facts.unit.capacity == 1:
        return length(intersect(union((p.start, p.end) for p in states.pieces), within))
    return sum(length(clip(within, (p.start, p.end))) * _positions(p, facts) for p in states.pieces)


def _idle(facts: UnitFacts, states: UnitStates) -> dict[str, Any]:
    """Booked seconds, and the idle ones of bookings whose users could have worked."""
    spans: list[Span] = []
    booked = 0
    for booking, result in zip(facts.bookings, states.results, strict=True):
        inside = clip([booking.span], states.window)
        if result.status in HELD:
            booked += length(inside) * booking.qty
        if result.status in ANSWERABLE:
            spans += inside
    answerable = union(spans)
    idle = length(intersect(states.standby_booked, answerable))
    blind = length(intersect(states.unknown, answerable)) + length(intersect(states.down.both, answerable))
    return {
        "booked_s": booked,
        "idle_booked_s": idle,
        "idle_other_s": length(states.standby_booked) - idle,
        "idle_base_s": length(answerable) - blind,
    }


def _counts(facts: UnitFacts, states: UnitStates, params: Parameters) -> dict[str, Any]:
    """Counts belong to the period in which the booking starts."""
    low, high = states.window
    found = [
        (booking, result.status, category)
        for booking, result, category in zip(facts.bookings, states.results, states.category, strict=True)
        if low <= booking.start < high
    ]
    done = [(booking, category) for booking, status, category in found if status is Status.FULFILLED]
    external = [booking for booking, category in done if category is Use.EXT]
    statuses = [status for _, status, _ in found]
    confirmed = [booking for booking, _, _ in found if booking.decided_at is not None]
    return {
        **{status.value: statuses.count(status) for status in (*HELD, Status.CONFLICT)},
        "confirmed": len(confirmed),
        "cancelled_late": sum(_cancelled_late(booking, params) for booking in confirmed),
        "lead_s": tuple(b.start - b.submitted_at for b, _ in done if b.submitted_at is not None),
        "ratings": tuple(booking.rating for booking, _ in done if booking.rating is not None),
        "ext_users": frozenset(booking.user_person for booking in external if booking.user_person),
        "ext_orgs": frozenset(booking.user_org for booking in external if booking.user_org),
        "ext_smes": frozenset(booking.user_org for booking in external if booking.user_org and booking.sme),
    }


def _cancelled_late(booking: Reservation, params: Parameters) -> bool:
    cancelled_at = booking.cancelled_at
    return not booking.stands and cancelled_at is not None and cancelled_at > booking.start - params.late_cancel_s


def _fees(facts: UnitFacts, states: UnitStates) -> dict[str, Any]:
    """Settled fees less refunds by the date on which the service ended."""
    low, high = states.window
    fees = {"revenue_minor": 0, "no_show_fees_minor": 0, "related_fees_minor": 0}
    for booking, result, category in zip(facts.bookings, states.results, states.category, strict=True):
        if not low < booking.end <= high or booking.fee_minor is None:
            continue
        net = booking.fee_minor - (booking.refund_minor or 0)
        if booking.category is Use.EXT and category is not Use.EXT:
            fees["related_fees_minor"] += net
        elif result.status is Status.NO_SHOW:
            fees["no_show_fees_minor"] += net
        elif category is Use.EXT and result.status is Status.FULFILLED:
            fees["revenue_minor"] += net
    return fees


def _suspicions(states: UnitStates) -> frozenset[str]:
    """Flags for review; nothing is ever removed because of them."""
    long_run = any(not p.owners and p.end - p.start > UNBOOKED_RUN_SUSPECT_S for p in states.confirmed)
    doubled = any(result.conflict for result in states.results)
    return frozenset({name for name, holds in (("suspect_unbooked_run", long_run), ("conflict", doubled)) if holds})
