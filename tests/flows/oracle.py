"""The laws of the occupancy ledger, worked out anew from the stored rows, without anything of what decides in the product."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from booking.tables import Booking, BookingSeries, Claim, Outage, RuleVersion
from marketplace.tables import AuditEntry, Resource

HOLDING = {"held", "requested", "confirmed"}
FREED = {"cancelled", "expired", "refused"}
VERSIONED = {"book", "move", "ask_again", "confirm_hold", "approve", "refuse", "cancel", "expire", "conclude", "finish"}
"""What raises a booking's version by one, each with a row in the audit log."""
MINUTE = timedelta(minutes=1)
Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Ledger:
    """The rows of one instant."""

    resources: dict[str, Resource]
    rules: dict[str, RuleVersion]
    bookings: dict[str, Booking]
    outages: Sequence[Outage]
    claims: Sequence[Claim]

    def by_place(self) -> dict[tuple[str, int], list[Claim]]:
        """Active claims of each unit, by start."""
        found: dict[tuple[str, int], list[Claim]] = defaultdict(list)
        for claim in sorted(self.claims, key=lambda row: row.starts_at):
            found[claim.resource_id, claim.unit].append(claim)
        return found

    def lines_of(self, resource_id: str) -> Iterator[str]:
        """The resource itself and every line above it."""
        at: str | None = resource_id
        while at:
            yield at
            at = self.resources[at].parent_id


def read(session: Session) -> Ledger:
    """The whole ledger; the session must see one snapshot."""
    return Ledger(
        {row.id: row for row in session.scalars(select(Resource))},
        {row.id: row for row in session.scalars(select(RuleVersion))},
        {row.id: row for row in session.scalars(select(Booking))},
        session.scalars(select(Outage)).all(),
        session.scalars(select(Claim).where(Claim.active)).all(),
    )


def broken(ledger: Ledger) -> list[str]:
    """Each law that does not hold, and where."""
    laws = (overlapping, overbooked, unbuffered, misheld, still_held, open_outages)
    return [f"{law.__name__}: {fault}" for law in laws for fault in law(ledger)]


def overlapping(ledger: Ledger) -> Iterator[str]:
    """On one unit and lane the active claims follow each other; a claim without a second lane stands in both."""
    for (resource_id, unit), claims in ledger.by_place().items():
        two_lanes = {owner_of(claim) for claim in claims if claim.lane == 1}
        for lane in (0, 1):
            standing = [claim for claim in claims if claim.lane == lane or (lane and owner_of(claim) not in two_lanes)]
            for one, other in pairwise(standing):
                if one.ends_at > other.starts_at:
                    yield f"{resource_id} unit {unit} lane {lane}: {told(one)} and {told(other)}"


def told(claim: Claim) -> str:
    """What a failure has to say for itself, as it may not come again."""
    return f"{claim.id} ({claim.kind} of {owner_of(claim)}, lane {claim.lane}, {claim.starts_at} to {claim.ends_at})"


def owner_of(claim: Claim) -> str:
    return str(claim.booking_id or claim.outage_id or claim.external_id or claim.waiting_id)


def overbooked(ledger: Ledger) -> Iterator[str]:
    """A sweep over the starts and ends of all uses: never more units than there are, a line's use takes all of its stations."""
    by_resource: dict[str, list[Booking]] = defaultdict(list)
    for row in ledger.bookings.values():
        if row.state not in FREED:
            by_resource[row.resource_id].append(row)
    for resource_id, resource in ledger.resources.items():
        edges: list[tuple[datetime, int]] = []
        for above in ledger.lines_of(resource_id):
            for row in by_resource[above]:
                units = row.quantity if above == resource_id else resource.capacity
                edges += [(row.starts_at, units), (row.ends_at, -units)]
        taken = 0
        for at, change in sorted(edges):
            taken += change
            if taken > resource.capacity:
                yield f"{resource_id} has {taken} of {resource.capacity} units taken at {at}"


def unbuffered(ledger: Ledger) -> Iterator[str]:
    """Between two uses of a unit lie clean-down and set-up, or the longer one where both go by that; one's own runs may touch."""
    for (resource_id, unit), claims in ledger.by_place().items():
        owners = {claim.booking_id: None for claim in claims if claim.booking_id}
        uses = sorted((ledger.bookings[owner] for owner in owners), key=lambda row: row.starts_at)
        for one, other in pairwise(uses):
            first, then = ledger.rules[one.rules_id], ledger.rules[other.rules_id]
            own = one.organisation_id == other.organisation_id and (first.waive_own_buffers or then.waive_own_buffers)
            longer = first.buffer_mode == then.buffer_mode == "max"
            gap = max(first.cleaning_min, then.setup_min) if longer else first.cleaning_min + then.setup_min
            if other.starts_at - one.ends_at < (timedelta() if own else gap * MINUTE):
                yield f"{resource_id} unit {unit}: {one.id} and {other.id} are not {gap} min apart"


def misheld(ledger: Ledger) -> Iterator[str]:
    """A booking that stands holds as many units as it says and all of its stations, each for the whole use and its buffers."""
    held: dict[str, dict[str, list[Claim]]] = defaultdict(lambda: defaultdict(list))
    for claim in ledger.claims:
        if claim.booking_id:
            held[claim.booking_id][claim.resource_id].append(claim)
    below: dict[str, list[str]] = defaultdict(list)
    for resource_id in ledger.resources:
        for above in ledger.lines_of(resource_id):
            below[above].append(resource_id)
    for row in ledger.bookings.values():
        if row.state not in HOLDING:
            continue
        if set(held[row.id]) != set(below[row.resource_id]):
            yield f"{row.id} claims {sorted(held[row.id])}, not {below[row.resource_id]}"
        for resource_id, claims in held[row.id].items():
            units = row.quantity if resource_id == row.resource_id else ledger.resources[resource_id].capacity
            if len({claim.unit for claim in claims}) != units:
                yield f"{row.id} does not claim {units} units of {resource_id}"
            yield from (
                f"{row.id}: {fault}" for claim in claims for fault in misfitting(ledger, row, claim, len(claims) // units)
            )


def misfitting(ledger: Ledger, row: Booking, claim: Claim, lanes: int) -> Iterator[str]:
    """A claim that is not the use with the buffers of its rules; between one's own runs they may be shorter."""
    rules = ledger.rules[row.rules_id]
    before = rules.setup_min * MINUTE if claim.lane == 0 else timedelta()
    after = rules.cleaning_min * MINUTE if lanes == 1 or claim.lane == 1 else timedelta()
    if lanes != (2 if rules.buffer_mode == "max" else 1):
        yield f"{claim.id} is of {lanes} lanes"
    if claim.starts_at > row.starts_at or claim.ends_at < row.ends_at:
        yield f"{claim.id} does not cover it"
    whole = (row.starts_at - before, row.ends_at + after)
    if claim.starts_at < whole[0] or claim.ends_at > whole[1]:
        yield f"{claim.id} is wider than its buffers"
    if not rules.waive_own_buffers and not row.finished_at and (claim.starts_at, claim.ends_at) != whole:
        yield f"{claim.id} is not its use with its buffers"


def still_held(ledger: Ledger) -> Iterator[str]:
    """What was cancelled, refused or has expired holds nothing."""
    for claim in ledger.claims:
        if claim.booking_id and ledger.bookings[claim.booking_id].state in FREED:
            yield f"{claim.booking_id} is {ledger.bookings[claim.booking_id].state} and holds {claim.id}"


def open_outages(ledger: Ledger) -> Iterator[str]:
    """While a resource is out of use no unit of it is free: each instant is the outage's or of a use that it spared."""
    claims = ledger.by_place()
    for outage in ledger.outages:
        for unit in range(ledger.resources[outage.resource_id].capacity):
            at = outage.starts_at
            for claim in claims[outage.resource_id, unit]:
                if claim.starts_at <= at:
                    at = max(at, claim.ends_at)
            if at < outage.ends_at:
                yield f"{outage.resource_id} unit {unit} is free at {at} in {outage.id}"


def unrecorded(session: Session) -> list[str]:
    """Bookings whose changes are not on record once each: every version has one row of the audit log, and a check-in one."""
    rows = session.execute(
        select(AuditEntry.object_id, AuditEntry.action, AuditEntry.after).where(AuditEntry.object_kind == "booking")
    )
    versions: dict[str, list[int]] = defaultdict(list)
    arrivals: dict[str, int] = defaultdict(int)
    for booking_id, action, after in rows:
        if action in VERSIONED:
            versions[booking_id].append(int(after["version"]))
        arrivals[booking_id] += action == "check_in"
    for after in session.scalars(select(AuditEntry.after).where(AuditEntry.action == "book_series")):
        for booking_id in after["bookings"]:
            versions[booking_id].append(1)
    known = session.execute(select(Booking.id, Booking.version, Booking.checked_in_at)).all()
    return [
        f"{booking_id} is at version {version}, on record are {sorted(versions[booking_id])} and {arrivals[booking_id]} arrivals"
        for booking_id, version, arrived in known
        if sorted(versions[booking_id]) != list(range(1, version + 1)) or arrivals[booking_id] != bool(arrived)
    ]


def half_series(session: Session) -> list[str]:
    """Series of which a booking that was granted is not there."""
    granted = select(AuditEntry.object_id, AuditEntry.after).where(AuditEntry.action == "book_series")
    found: dict[str | None, set[str]] = defaultdict(set)
    for series_id, booking_id in session.execute(select(Booking.series_id, Booking.id).where(Booking.series_id.is_not(None))):
        found[series_id].add(booking_id)
    told = {series_id: set(after["bookings"]) for series_id, after in session.execute(granted)}
    known = set(session.scalars(select(BookingSeries.id)))
    return [str(one) for one in {*told, *known, *found} if told.get(str(one)) != found.get(one)]


def deadlocks(session: Session) -> list[str]:
    """Whether PostgreSQL has had to break a circle of locks in this database, even if someone tried again and nobody noticed."""
    if session.get_bind().dialect.name != "postgresql":
        return []
    count = session.scalar(text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"))
    return [f"{count} deadlocks"] if count else []


def fits(claims: Iterable[Claim], *, spans: Sequence[Span], units: range) -> int:
    """How many of `units` a use may have that would claim `spans`, one a lane; a single one stands in both lanes."""
    blocked: set[int] = set()
    listed = list(claims)
    two_lanes = {(claim.unit, owner_of(claim)) for claim in listed if claim.lane == 1}
    for claim in listed:
        lanes = [claim.lane] if claim.lane or (claim.unit, owner_of(claim)) in two_lanes else [0, 1]
        for lane in lanes:
            start, end = spans[min(lane, len(spans) - 1)]
            if claim.starts_at < end and start < claim.ends_at:
                blocked.add(claim.unit)
    return len(set(units) - blocked)
