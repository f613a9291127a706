"""From facts to the state ledger: every second of a unit's in-service window in exactly one state."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from evaluation.attribution import Effective, Held, Piece, attested, attribute, credited_idle, holders, merged_runs
from evaluation.facts import Downtime, Outage, Parameters, Reservation, Segment, Status, Telemetry, UnitFacts, Use
from evaluation.spans import Span, clip, intersect, length, subtract, union


class State(StrEnum):
    """The states of the ledger, in the order in which the first match wins."""

    PD = "pd"
    UD = "ud"
    PRD_EXT = "prd_ext"
    PRD_INT = "prd_int"
    PRD_SELF = "prd_self"
    PRD_TEACH = "prd_teach"
    PRD_UNBOOKED = "prd_unbooked"
    UNK = "unk"
    SBY_BOOKED = "sby_booked"
    SBY_FREE = "sby_free"
    NST = "nst"


PRODUCTIVE = {Use.EXT: State.PRD_EXT, Use.INT: State.PRD_INT, Use.SELF: State.PRD_SELF, Use.TEACH: State.PRD_TEACH}


@dataclass(frozen=True, slots=True)
class Observed:
    """What the meters saw, disjoint by priority FAULT > RUN > IDLE > OFF; seconds outside `known` are UNKNOWN."""

    fault: Sequence[Span]
    run: Sequence[Span]
    idle: Sequence[Span]
    known: Sequence[Span]


@dataclass(frozen=True, slots=True)
class Down:
    """Planned and unplanned downtime, disjoint, and both together."""

    planned: Sequence[Span]
    unplanned: Sequence[Span]
    both: Sequence[Span]


@dataclass(frozen=True, slots=True)
class BookingResult:
    """A booking's verdict and the effective time inside the window that it shares in."""

    status: Status
    eff_s: int
    conflict: bool


@dataclass(frozen=True, slots=True)
class UnitStates:
    """A unit's window told apart to the second. All spans lie inside `window`; `category` is the counted one per booking."""

    window: Span
    ledger: Mapping[State, int]
    open: Sequence[Span]
    down: Down
    silent: Sequence[Span]
    standby_booked: Sequence[Span]
    unknown: Sequence[Span]
    confirmed: Sequence[Piece]
    attested: Sequence[Piece]
    self_reported_s: int
    category: Sequence[Use]
    results: Sequence[BookingResult]

    @property
    def pieces(self) -> Iterable[Piece]:
        yield from self.confirmed
        yield from self.attested


def states_of(facts: UnitFacts, period: Span, params: Parameters, counted: Callable[[Reservation, str], Use]) -> UnitStates:
    """The ledger of one unit. `counted(booking, owner)` says as whose use a booking counts."""
    seen = observed(facts.segments)
    down = downtime(facts.downtime, seen.fault)
    held = holders(facts.bookings, facts.unit.capacity)
    effective = effective_time(facts, seen, down, held, params)
    window = facts.unit.in_service(period)
    opened, booked = clip(union(facts.calendar), window), clip(union(b.span for b in facts.bookings if b.stands), window)
    inside = Down(clip(down.planned, window), clip(down.unplanned, window), clip(down.both, window))
    pieces, paper = _clipped(effective.confirmed, window), _clipped(effective.attested, window)
    used = union((p.start, p.end) for part in (pieces, paper) for p in part)
    wanted = union([*opened, *booked])
    idle_time = subtract(subtract(wanted, inside.both), used)
    unknown = subtract(idle_time, seen.known)
    seen_idle = intersect(idle_time, seen.known)
    standby_booked = intersect(seen_idle, booked)
    category = [counted(booking, facts.unit.owner_org) for booking in facts.bookings]
    ledger = Counter(productive_seconds((*pieces, *paper), facts.bookings, category))
    ledger[State.PD] = length(intersect(inside.planned, wanted))
    ledger[State.UD] = length(intersect(inside.unplanned, wanted))
    ledger[State.UNK] = length(unknown)
    ledger[State.SBY_BOOKED] = length(standby_booked)
    ledger[State.SBY_FREE] = length(seen_idle) - length(standby_booked)
    ledger[State.NST] = window[1] - window[0] - ledger.total()
    return UnitStates(
        window=window,
        ledger={state: ledger[state] for state in State},
        open=opened,
        down=inside,
        silent=subtract(opened, seen.known),
        standby_booked=standby_booked,
        unknown=unknown,
        confirmed=pieces,
        attested=paper,
        self_reported_s=_self_reported(facts, seen, used, window),
        category=category,
        results=_results(verdicts(facts, seen, down, held, effective, params), (*pieces, *paper), held.contested),
    )


def observed(segments: Iterable[Segment]) -> Observed:
    """The meters of one device as one: a second is in the strongest state that any meter reports."""
    by_state: dict[Telemetry, list[Span]] = defaultdict(list)
    for start, end, state, _ in segments:
        by_state[state].append((start, end))
    fault, run, idle, off = (union(by_state[state]) for state in (Telemetry.FAULT, Telemetry.RUN, Telemetry.IDLE, Telemetry.OFF))
    run = subtract(run, fault)
    idle = subtract(subtract(idle, fault), run)
    return Observed(fault, run, idle, union([*fault, *run, *idle, *off]))


def downtime(outages: Iterable[Outage], fault: Sequence[Span]) -> Down:
    """Planned only if it was recorded before it started; faults are unplanned; a second of both is planned."""
    planned: list[Span] = []
    unplanned: list[Span] = list(fault)
    for start, end, kind, recorded_at in outages:
        foreseen = kind is Downtime.PLANNED and recorded_at is not None and recorded_at < start
        (planned if foreseen else unplanned).append((start, end))
    x = union(planned)
    u = subtract(union(unplanned), x)
    return Down(x, u, union([*x, *u]))


def effective_time(facts: UnitFacts, seen: Observed, down: Down, held: Held, params: Parameters) -> Effective:
    """Runs outside downtime, merged, attributed, with preparation and clean-up, and what is attested in silence."""
    idle = subtract(seen.idle, down.both)
    runs = merged_runs(subtract(seen.run, down.both), idle, params)
    owned, inside = attribute(runs, held, params)
    confirmed = sorted([*owned, *credited_idle(inside, held, idle, params)])
    silence = subtract(_attestable(facts), union([*seen.known, *down.both]))
    return Effective(confirmed, attested(facts.attestations, facts.bookings, held, silence))


def _attestable(facts: UnitFacts) -> list[Span]:
    return union((row.start, row.end) for row in facts.attestations)


def _self_reported(facts: UnitFacts, seen: Observed, used: Sequence[Span], window: Span) -> int:
    """Seconds of statements that lack a signature, where telemetry is silent and nothing better is known."""
    lacking = union((row.start, row.end) for row in facts.attestations if not (row.provider_signed and row.user_signed))
    return length(subtract(subtract(clip(lacking, window), seen.known), used))


def _clipped(pieces: Iterable[Piece], window: Span) -> list[Piece]:
    low, high = window
    return [
        Piece(max(start, low), min(end, high), owners)
        for start, end, owners in pieces
        if start < high and end > low and low < high
    ]


def productive_seconds(pieces: Iterable[Piece], bookings: Sequence[Reservation], category: Sequence[Use]) -> dict[State, int]:
    """Effective machine seconds by category; simultaneous bookings share by quantity.

    Whole seconds that add up exactly: the remainder of the shares goes to the largest fractions.
    """
    exact: dict[tuple[State, int], int] = defaultdict(int)
    whole = 0
    for start, end, owners in pieces:
        whole += end - start
        if not owners:
            exact[State.PRD_UNBOOKED, 1] += end - start
        elif len(owners) == 1:
            exact[PRODUCTIVE[category[owners[0]]], 1] += end - start
        else:
            quantity = sum(bookings[owner].qty for owner in owners)
            for owner in owners:
                exact[PRODUCTIVE[category[owner]], quantity] += (end - start) * bookings[owner].qty
    shares: dict[State, Fraction] = defaultdict(Fraction)
    for (state, parts), seconds in exact.items():
        shares[state] += Fraction(seconds, parts)
    floors = {state: share.numerator // share.denominator for state, share in shares.items()}
    order = sorted(shares, key=lambda state: (floors[state] - shares[state], list(State).index(state)))
    for state in order[: whole - sum(floors.values())]:
        floors[state] += 1
    return floors


def verdicts(facts: UnitFacts, seen: Observed, down: Down, held: Held, effective: Effective, params: Parameters) -> list[Status]:
    """What became of each booking, in their order; looks at the whole booking, wherever the period cuts it."""
    used = {owner for part in (effective.confirmed, effective.attested) for piece in part for owner in piece.owners}
    own = {owner for piece in held.cover for owner in piece.owners}
    found: list[Status] = []
    for i, booking in enumerate(facts.bookings):
        if booking.status is not None:
            found.append(booking.status)
        elif not booking.stands:
            found.append(Status.CANCELLED)
        elif i in used:
            found.append(Status.FULFILLED)
        elif i not in own:
            found.append(Status.CONFLICT)
        else:
            found.append(_unused(booking, seen, down, params))
    return found


def _unused(booking: Reservation, seen: Observed, down: Down, params: Parameters) -> Status:
    booked = booking.end - booking.start
    if 2 * length(clip(down.both, booking.span)) >= booked:
        return Status.PROVIDER_FAILED
    if length(clip(seen.known, booking.span)) < params.cov_min * booked:
        return Status.UNVERIFIABLE
    return Status.NO_SHOW


def _results(statuses: Sequence[Status], pieces: Iterable[Piece], contested: frozenset[int]) -> list[BookingResult]:
    seconds: dict[int, int] = defaultdict(int)
    for start, end, owners in pieces:
        for owner in owners:
            seconds[owner] += end - start
    return [BookingResult(status, seconds[i], i in contested) for i, status in enumerate(statuses)]
