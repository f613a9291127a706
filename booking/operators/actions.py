"""Writes of operators: who may stand by, from when to when, and who takes over for one who is away."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session

from booking import queries as booking
from booking.operators import queries
from booking.operators.tables import Operator
from booking.outages import actions as outages
from booking.places import load_places
from booking.rules.actions import RuleSet, set_rules
from booking.tables import Booking, Claim, Outage
from marketplace import audit
from marketplace.ids import OPERATOR, new_id
from marketplace.people import queries as people
from marketplace.refusals import Invalid, WrongState
from marketplace.roles import Role
from marketplace.slot import Slot
from marketplace.tables import ListingState, Resource, ResourceKind

MOST_OPERATORS = 200
STAFF = (Role.MANAGER, Role.TECHNICIAN)
CURRENCY = "CNY"


@dataclass(frozen=True, slots=True)
class Absence:
    """What was recorded, who of the bookings met got another operator, and which have none who could come."""

    outage: Outage
    taken_over: Sequence[Booking]
    uncovered: Sequence[Booking]


def add_operator(
    session: Session, *, institution_id: str, person_id: str, hours: Sequence[dict[str, int]], actor_id: str, now: datetime
) -> Operator:
    """Let a manager or technician of the house stand by at uses; one who had left comes back. Raises: NotFound, Invalid."""
    house = people.get_institution(session, institution_id)
    if person_id not in people.staff_of(session, institution_id, STAFF):
        raise Invalid(field="person_id", reason="is no manager or technician of the institution")
    row = queries.find_operator(session, institution_id, person_id)
    if row is not None and row.left_at is None:
        raise Invalid(field="person_id", reason="is an operator already")
    if row is None:
        if len(queries.operators_of(session, institution_id)) >= MOST_OPERATORS:
            raise Invalid(field="person_id", reason="more than {most} entries", most=MOST_OPERATORS)
        place = _time_of(institution_id, people.get_person(session, person_id).name, house.timezone, now)
        session.add(place)
        session.flush()
        row = Operator(id=place.id, institution_id=institution_id, person_id=person_id, since=now)
        session.add(row)
    row.left_at = None
    session.flush()
    set_rules(session, resource_id=row.id, rules=RuleSet(hours=hours), actor_id=actor_id, now=now)
    _record(session, row, "add_operator", {"person": person_id}, actor_id, now)
    return row


def _time_of(institution_id: str, name: str, timezone: str, now: datetime) -> Resource:
    """What the ledger claims: a draft that is never listed."""
    return Resource(
        id=new_id(OPERATOR),
        institution_id=institution_id,
        kind=ResourceKind.INSTRUMENT,
        name=name,
        tags=[],
        timezone=timezone,
        capacity=1,
        price_minor=0,
        currency=CURRENCY,
        state=ListingState.DRAFT,
        version=1,
        created_at=now,
    )


def change_hours(
    session: Session, *, operator_id: str, hours: Sequence[dict[str, int]], actor_id: str, now: datetime
) -> Operator:
    """When the operator may stand by from now on; bookings that hold their time keep it. Raises: NotFound, Invalid."""
    row = queries.get_operator(session, operator_id)
    set_rules(session, resource_id=row.id, rules=RuleSet(hours=hours), actor_id=actor_id, now=now)
    return row


def record_absence(session: Session, *, operator_id: str, slot: Slot, reason: str, actor_id: str, now: datetime) -> Absence:
    """Close the operator's time; coming bookings in it get the next operator who is free, those without one keep this one.

    Raises: NotFound.
    """
    row = queries.get_operator(session, operator_id)
    queries.lock_operators(session, row.institution_id)
    met = queries.bookings_held(session, row.id, within=slot, after=now)
    outage = outages.record_outage(
        session, resource_id=row.id, slot=slot, planned=True, reason=reason, actor_id=actor_id, now=now
    )
    taken_over = [one for one in met if _hand_over(session, one, row.id, actor_id, now)]
    for one in taken_over:
        outages.close_what_is_left(session, resource_id=row.id, around=one.slot)
    return Absence(outage, taken_over, [one for one in met if one not in taken_over])


def remove_operator(session: Session, *, operator_id: str, actor_id: str, now: datetime) -> Operator:
    """The operator stands by no more; others take over. Raises: NotFound, WrongState (a booking has nobody else)."""
    row = queries.get_operator(session, operator_id)
    queries.lock_operators(session, row.institution_id)
    for one in queries.bookings_held(session, row.id, after=now):
        if not _hand_over(session, one, row.id, actor_id, now):
            raise WrongState(state="needed", move="leave")
    row.left_at = now
    session.flush()
    _record(session, row, "remove_operator", {"person": row.person_id}, actor_id, now)
    return row


def _hand_over(session: Session, met: Booking, operator_id: str, actor_id: str, now: datetime) -> bool:
    """Give the booking the first other operator of its resource who is free. All operators' rows are locked."""
    place = load_places(session, [met.resource_id])[met.resource_id]
    others = [one for one in place.attendants if one.resource_id != operator_id]
    claims = booking.taken(session, [one.resource_id for one in others], within=met.slot)
    for one in others:
        if any(span.contains(met.slot) for span in booking.free_of(one, claims, met.slot)):
            mine = (Claim.booking_id == met.id, Claim.resource_id == operator_id, Claim.active)
            session.execute(update(Claim).where(*mine).values(resource_id=one.resource_id))
            after = {"operator": one.resource_id, "was": operator_id}
            audit.record(
                session,
                actor_id=actor_id,
                action="change_operator",
                object_kind="booking",
                object_id=met.id,
                institution_id=met.institution_id,
                before=None,
                after=after,
                now=now,
            )
            return True
    return False


def _record(session: Session, row: Operator, action: str, after: dict[str, Any], actor_id: str, now: datetime) -> None:
    audit.record(
        session,
        actor_id=actor_id,
        action=action,
        object_kind="operator",
        object_id=row.id,
        institution_id=row.institution_id,
        before=None,
        after=after,
        now=now,
    )
