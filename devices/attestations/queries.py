"""Reads of statements: of one booking, by what they leave to do, and what was signed."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session

from booking.states import BookingState
from booking.tables import Booking
from devices.attestations.statements import Side, Statement, from_json
from devices.attestations.tables import Attestation, AttestationDocument, AttestationState
from marketplace.permissions import Action, Actor, may
from marketplace.refusals import NotFound
from marketplace.slot import Slot


def sides_of(actor: Actor, booking: Booking) -> frozenset[Side]:
    """For whom the actor may state and sign: who reviews use at the institution, and the customer. An operator for nobody."""
    if actor.person_id is None or actor.is_operator:
        return frozenset()
    own = booking.person_id == actor.person_id or booking.organisation_id in actor.organisations
    reviews = may(actor, Action.REVIEW_USE, institution_id=booking.institution_id)
    return frozenset(side for side, is_theirs in ((Side.PROVIDER, reviews), (Side.USER, own)) if is_theirs)


def get_booking_for(session: Session, actor: Actor, booking_id: str) -> Booking:
    """The booking for those who may read what is stated of it: both sides, operators, evaluators.

    Raises: NotFound (also for what the actor may not know of).
    """
    row = session.get(Booking, booking_id)
    if row is None or not (actor.is_operator or actor.is_evaluator or sides_of(actor, row)):
        raise NotFound(kind="booking")
    return row


def get_attestation_for(session: Session, actor: Actor, attestation_id: str) -> tuple[Attestation, Booking]:
    """Raises: NotFound (also for what the actor may not know of)."""
    row = session.get(Attestation, attestation_id)
    if row is None:
        raise NotFound(kind="attestation")
    try:
        return row, get_booking_for(session, actor, row.booking_id)
    except NotFound:
        raise NotFound(kind="attestation") from None


def document_of(session: Session, row: Attestation) -> AttestationDocument:
    return session.get_one(AttestationDocument, row.document_digest)


def kinds_of(session: Session, digests: Collection[str]) -> dict[str, str]:
    """Which kind of document each is, without reading it."""
    columns = select(AttestationDocument.digest, AttestationDocument.kind).where(AttestationDocument.digest.in_(digests))
    return {digest: kind.value for digest, kind in session.execute(columns)}


def attestations_of(session: Session, booking_id: str) -> Sequence[Attestation]:
    """Newest first."""
    mine = select(Attestation).where(Attestation.booking_id == booking_id)
    return session.scalars(mine.order_by(Attestation.number.desc())).all()


def signed_statements(session: Session, booking_ids: Collection[str]) -> dict[str, Statement]:
    """What counts of each booking: of those signed by both sides the last one."""
    signed = select(Attestation).where(Attestation.booking_id.in_(booking_ids), Attestation.state == AttestationState.SIGNED)
    rows = session.scalars(signed.order_by(Attestation.number))
    return {row.booking_id: from_json(row.stretches) for row in rows}


@dataclass(frozen=True, slots=True)
class Stated:
    """What stands of one booking: a statement by `side`, signed by the other one too, or not yet."""

    booking_id: str
    statement: Statement
    side: Side
    signed: bool


def stated_of_resources(session: Session, resource_ids: Collection[str], *, within: Slot) -> dict[str, list[Stated]]:
    """By resource, what counts and what waits for an answer of bookings that touch `within`.

    Neither what was declined or withdrawn nor what was replaced.
    """
    standing = Attestation.state.in_([AttestationState.SIGNED, AttestationState.OPEN])
    rows = session.scalars(
        select(Attestation)
        .join(Booking, Booking.id == Attestation.booking_id)
        .where(Attestation.resource_id.in_(resource_ids), standing)
        .where(Booking.starts_at < within.end, Booking.ends_at > within.start)
        .order_by(Attestation.booking_id, Attestation.number)
    )
    last = {(row.booking_id, row.state): row for row in rows}
    found: dict[str, list[Stated]] = defaultdict(list)
    for row in last.values():
        signed = row.state is AttestationState.SIGNED
        found[row.resource_id].append(Stated(row.booking_id, from_json(row.stretches), row.side, signed))
    return found


def newest_of(session: Session, booking_ids: Collection[str]) -> dict[str, Attestation]:
    """The last statement of each booking."""
    rows = session.scalars(select(Attestation).where(Attestation.booking_id.in_(booking_ids)).order_by(Attestation.number))
    return {row.booking_id: row for row in rows}


MOST_SHOWN = 50
"""Of what waits for one person, at once."""


def bookings_with_problems(
    session: Session, institution_ids: Collection[str], *, limit: int | None = None, offset: int = 0
) -> Sequence[Booking]:
    """Uses at the institutions that need a person: unverifiable ones, and those with a statement that is open. Newest first."""
    waiting = exists().where(Attestation.booking_id == Booking.id, Attestation.state == AttestationState.OPEN)
    blind = Booking.state == BookingState.UNVERIFIABLE
    mine = select(Booking).where(Booking.institution_id.in_(institution_ids), or_(blind, waiting))
    return session.scalars(mine.order_by(Booking.starts_at.desc(), Booking.id).limit(limit).offset(offset)).all()


def waiting_for_customer(session: Session, actor: Actor) -> Sequence[Attestation]:
    """Open statements of the institutions' on bookings of the actor or of its organisations, oldest first."""
    own = or_(Booking.person_id == actor.person_id, Booking.organisation_id.in_(actor.organisations))
    still = (Attestation.state == AttestationState.OPEN, Attestation.side == Side.PROVIDER)
    theirs = Attestation.stated_by != actor.person_id
    found = select(Attestation).join(Booking, Booking.id == Attestation.booking_id).where(own, *still, theirs)
    return session.scalars(found.order_by(Attestation.stated_at, Attestation.id).limit(MOST_SHOWN)).all()
