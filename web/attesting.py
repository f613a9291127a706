"""Who may state, sign, decline or withdraw, for pages and programs alike."""

from datetime import datetime

from sqlalchemy.orm import Session

from booking.tables import Booking
from devices.attestations import actions, queries
from devices.attestations.actions import Wish
from devices.attestations.statements import Side
from devices.attestations.tables import Attestation
from marketplace.permissions import Actor
from marketplace.refusals import Invalid, NotAllowed


def side_for(actor: Actor, booking: Booking, asked: Side | None) -> Side:
    """For whom the actor would state. Raises: NotAllowed, Invalid (it belongs to both and does not say)."""
    sides = queries.sides_of(actor, booking)
    if not sides or (asked is not None and asked not in sides):
        raise NotAllowed(action="state_use")
    if asked is None and len(sides) > 1:
        raise Invalid(field="side", reason="you belong to both sides, say for which one")
    return asked or next(iter(sides))


def state(session: Session, *, actor: Actor, booking: Booking, wish: Wish, now: datetime) -> Attestation:
    """Raises: what `actions.state` raises."""
    return actions.state(session, booking_id=booking.id, wish=wish, actor_id=actor.known_id, now=now)


def sign(session: Session, *, actor: Actor, attestation_id: str, now: datetime) -> Attestation:
    """Raises: NotFound, NotAllowed, WrongState."""
    _require_side(session, actor, attestation_id, answers=True)
    return actions.sign(session, attestation_id=attestation_id, actor_id=actor.known_id, now=now)


def decline(session: Session, *, actor: Actor, attestation_id: str, reason: str, now: datetime) -> Attestation:
    """Raises: NotFound, NotAllowed, WrongState, Invalid."""
    _require_side(session, actor, attestation_id, answers=True)
    return actions.decline(session, attestation_id=attestation_id, reason=reason, actor_id=actor.known_id, now=now)


def withdraw(session: Session, *, actor: Actor, attestation_id: str, now: datetime) -> Attestation:
    """Raises: NotFound, NotAllowed, WrongState."""
    _require_side(session, actor, attestation_id, answers=False)
    return actions.withdraw(session, attestation_id=attestation_id, actor_id=actor.known_id, now=now)


def _require_side(session: Session, actor: Actor, attestation_id: str, *, answers: bool) -> None:
    """The other side answers a statement; the side that made it takes it back. Raises: NotFound, NotAllowed."""
    row, booking = queries.get_attestation_for(session, actor, attestation_id)
    if (row.side.other if answers else row.side) not in queries.sides_of(actor, booking):
        raise NotAllowed(action="answer_statement_of_use" if answers else "withdraw_statement_of_use")


def may_answer(actor: Actor, row: Attestation, booking: Booking) -> bool:
    return row.side.other in queries.sides_of(actor, booking) and row.stated_by != actor.person_id
