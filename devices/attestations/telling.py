"""Who is told of a statement: the side that is to answer, and who made it once it is answered."""

from datetime import datetime

from sqlalchemy.orm import Session

from booking.tables import Booking
from devices.attestations.statements import Side
from devices.attestations.tables import Attestation, AttestationState
from marketplace import outbox
from marketplace.people import queries as people
from marketplace.roles import Role

REVIEWERS = (Role.MANAGER, Role.TECHNICIAN)


def tell_waiting(session: Session, row: Attestation, booking: Booking, now: datetime) -> None:
    """The booker where the institution stated it, else those who review use there; never who stated it."""
    to_provider = row.side is Side.USER
    readers = people.staff_of(session, booking.institution_id, REVIEWERS) if to_provider else [booking.person_id]
    for person_id in readers:
        if person_id != row.stated_by:
            _queue(session, person_id, "attestation_waiting", row, booking, now)


def tell_answered(session: Session, row: Attestation, booking: Booking, now: datetime) -> None:
    """Who stated it, and the booker, unless it was they who answered."""
    kind = "attestation_signed" if row.state is AttestationState.SIGNED else "attestation_declined"
    for person_id in dict.fromkeys([row.stated_by, booking.person_id]):
        if person_id != row.answered_by:
            _queue(session, person_id, kind, row, booking, now)


def _queue(session: Session, person_id: str, kind: str, row: Attestation, booking: Booking, now: datetime) -> None:
    about = {"booking_id": booking.id, "resource_id": booking.resource_id, "attestation_id": row.id}
    time = {"start": booking.starts_at.isoformat(), "end": booking.ends_at.isoformat()}
    cause = f"{row.id}:{kind}:{person_id}"
    outbox.queue(session, person_id=person_id, kind=kind, data={**about, **time}, cause=cause, now=now)
