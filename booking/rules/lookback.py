"""What rules would have done to the last quarter's bookings: each is judged again, in the order in which they were asked for.

Those of the time before that still count in a quota stand as they are. What nobody can know any more is left out: parts that
were taken, outages, and operators' time that other resources claimed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from booking import audience, competence, occupancy, pooling, quotas, terms, waiving
from booking.audience import Customer, Group
from booking.availability import open_slots
from booking.competence import Held, Record
from booking.occupancy import Ledger, Taken
from booking.places import Place, attendants_of
from booking.qualifications import queries as qualifications
from booking.quotas import Use
from booking.rules.queries import CLASSES, COUNTED
from booking.states import BookingState
from booking.tables import Booking
from booking.terms import Rules
from booking.waiving import Beside
from marketplace.refusals import Reason
from marketplace.slot import Slot
from marketplace.tables import Organisation

QUARTER = timedelta(days=92)
BEFORE = timedelta(days=31)
"""The longest period of a quota: bookings so long before may count in it."""
MOST = 1000
"""Bookings that are looked at, the newest ones."""
BUFFERS = timedelta(days=1)
"""The longest set-up or clean-down."""
HERE = "here"
"""The one resource of the replayed ledger."""


@dataclass(frozen=True, slots=True)
class Turned:
    """A booking that would have been refused, and why."""

    booking: Booking
    reasons: Sequence[Reason]


@dataclass(frozen=True, slots=True)
class Effect:
    """Of `bookings` in `span` those that the present rules grant and the new ones would not; `already` break the present ones."""

    span: Slot
    bookings: int
    refused: Sequence[Turned]
    already: int
    all_seen: bool


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of the bookings: customers by organisation, qualifications and supervised runs by person."""

    rows: Sequence[Booking]
    customers: Mapping[str, Customer]
    held: Mapping[str, Sequence[Held]]
    names: Mapping[str, str]

    def customer(self, row: Booking) -> Customer:
        found = self.customers.get(row.organisation_id) if row.organisation_id else None
        return found or Customer(None, Group.OWN)

    def record(self, row: Booking) -> Record:
        runs = [
            one
            for one in self.rows
            if one.person_id == row.person_id and one.assisted and one.state is BookingState.COMPLETED
            if one.ends_at <= row.submitted_at
        ]
        return Record(self.held.get(row.person_id, ()), len(runs), self.names)


@dataclass(slots=True)
class Replay:
    """Bookings granted so far, as the ledger and as quotas see them."""

    ledger: Ledger = field(default_factory=lambda: Ledger({}))
    rows: dict[str, Booking] = field(default_factory=dict)
    uses: list[Use] = field(default_factory=list)


def effect(session: Session, place: Place, rules: Rules, *, now: datetime) -> Effect:
    """Of `rules` on bookings of the place that began in the last 92 days. Reads only."""
    span = Slot(now - QUARTER, now)
    rows, all_seen = _bookings(session, place.resource_id, span)
    past = _past(session, place, rows, {need.qualification_id for need in (*rules.qualifications, *place.rules.qualifications)})
    there = replace(place, attendants=attendants_of(session, place.institution_id, rules.assistance))
    would, present = _judge(there, rules, past, span), _judge(place, place.rules, past, span)
    refused = [Turned(row, would[row.id]) for row in rows if would.get(row.id) and not present.get(row.id)]
    seen = [row for row in rows if row.starts_at >= span.start]
    return Effect(span, len(seen), refused, sum(1 for row in seen if present.get(row.id)), all_seen)


def _bookings(session: Session, resource_id: str, span: Slot) -> tuple[list[Booking], bool]:
    """In the order in which they were asked for, and whether these are all."""
    asked = (
        select(Booking)
        .where(Booking.resource_id == resource_id, Booking.state.in_(COUNTED))
        .where(Booking.starts_at >= span.start - BEFORE, Booking.starts_at < span.end)
        .order_by(Booking.starts_at.desc())
        .limit(MOST + 1)
    )
    rows = session.scalars(asked).all()
    return sorted(rows[:MOST], key=lambda row: (row.submitted_at, row.id)), len(rows) <= MOST


def _past(session: Session, place: Place, rows: Sequence[Booking], qualification_ids: set[str]) -> Past:
    firms = session.execute(
        select(Organisation.id, Organisation.customer_class, Organisation.institution_id).where(
            Organisation.id.in_({row.organisation_id for row in rows if row.organisation_id})
        )
    )
    customers = {
        firm: Customer(firm, Group.OWN if house == place.institution_id else CLASSES.get(kind)) for firm, kind, house in firms
    }
    held: Mapping[str, Sequence[Held]] = {}
    if qualification_ids:
        held = qualifications.records_of(session, {row.person_id for row in rows}, qualification_ids)
    return Past(rows, customers, held, qualifications.names_of(session, qualification_ids))


def _judge(place: Place, rules: Rules, past: Past, span: Slot) -> dict[str, list[Reason]]:
    """By booking, every rule that it breaks; what is refused stands in nobody's way."""
    found: dict[str, list[Reason]] = {}
    granted = Replay()
    for row in past.rows:
        use = Use(row.slot, row.person_id, row.organisation_id, row.quantity, past.customer(row).group)
        units = _units(place, rules, row, granted)
        if row.starts_at >= span.start:
            found[row.id] = _broken(place, rules, past, row, use, granted)
            if len(units) < row.quantity:
                found[row.id].append(Reason("slot_taken"))
            if found[row.id]:
                continue
        _grant(rules, row, use, units or list(range(row.quantity)), granted)
    return found


def _broken(place: Place, rules: Rules, past: Past, row: Booking, use: Use, granted: Replay) -> list[Reason]:
    opened = open_slots(rules.hours, place.zone, row.slot.widen(rules.buffers.setup, rules.buffers.cleaning))
    reasons = terms.reasons(row.slot, rules=rules, zone=place.zone, opened=opened, now=row.submitted_at)
    ended_early = {"too_short", "off_step"} if row.finished_at else set()
    reasons = [one for one in reasons if one.override_by and one.code not in ended_early]
    if rules.audience:
        reasons += audience.reasons(rules.audience, past.customer(row), row.slot, place.zone)
    if rules.tests_bookers or row.assisted:
        wanted = row.assisted
        reasons += competence.reasons(rules.qualifications, rules.assistance, past.record(row), row.starts_at, wanted=wanted)
    if rules.quotas:
        reach = quotas.reach(rules.quotas, row.slot, place.zone)
        reasons += quotas.reasons(rules.quotas, use, [one for one in granted.uses if one.slot.overlaps(reach)], place.zone)
    if rules.assistance.attends(wanted=row.assisted) and not _attended(place, row.slot):
        reasons.append(Reason("no_operator_free"))
    return reasons


def _attended(place: Place, slot: Slot) -> bool:
    """Whether the slot lies in the hours of somebody of the pool."""
    return any(span.contains(slot) for one in place.attendants for span in open_slots(one.hours, one.zone, slot))


def _units(place: Place, rules: Rules, row: Booking, granted: Replay) -> list[int]:
    """The lowest units that would have been free with these buffers."""
    around = granted.ledger.around([HERE], row.slot.widen(2 * BUFFERS, 2 * BUFFERS))[HERE]
    if rules.pooled:
        room = pooling.usable(around, capacity=place.capacity, buffers=rules.buffers, within=row.slot, quantity=row.quantity)
        return list(range(row.quantity)) if any(span.contains(row.slot) for span in room) else []
    beside = waiving.NOBODY
    if rules.waive_own_buffers:
        own = [granted.rows[claim.owner] for claim in around if granted.rows[claim.owner].organisation_id == row.organisation_id]
        before = {one.id for one in own if one.ends_at == row.starts_at}
        beside = Beside(before, {one.id for one in own if one.starts_at == row.ends_at})
    usable = waiving.usable(around, capacity=place.capacity, buffers=rules.buffers, slot=row.slot, beside=beside)
    return occupancy.choose(usable, row.slot, row.quantity)


def _grant(rules: Rules, row: Booking, use: Use, units: Sequence[int], granted: Replay) -> None:
    granted.rows[row.id] = row
    granted.uses.append(use)
    for unit in units:
        for lane, claimed in enumerate(rules.buffers.spans(row.slot)):
            granted.ledger.add(HERE, Taken(row.id, unit, lane, claimed))
