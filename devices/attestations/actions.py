"""Writes of statements: one side states, the other signs or declines; signed by both, the use is worked out anew."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from booking import actions as bookings
from booking.states import BookingState
from booking.tables import Booking
from devices import queries as devices
from devices.attestations import queries
from devices.attestations.documents import Paper, read_document
from devices.attestations.statements import Known, Side, Statement, as_json, check, from_json, read_statement
from devices.attestations.tables import Attestation, AttestationDocument, AttestationState
from devices.attestations.telling import tell_answered, tell_waiting
from devices.confirming import differs, down, measured_use, overtimes, seen_around, write_use
from marketplace import audit
from marketplace.ids import new_id
from marketplace.people.text import clean
from marketplace.refusals import NotAllowed, NotFound, WrongState
from marketplace.slot import Slot
from marketplace.upsert import insert_new

MOST_STATEMENTS = 20
"""Of one booking, whatever became of them."""
LONGEST_NOTE = 1000
UNSETTLED = frozenset({BookingState.CONFIRMED, BookingState.UNVERIFIABLE})
NOTHING_STATED = Statement(())


@dataclass(frozen=True, slots=True)
class Wish:
    """What one side would state, as it was given."""

    side: Side
    stretches: Sequence[Slot]
    unused: bool
    document: bytes
    note: str | None = None


def state(session: Session, *, booking_id: str, wish: Wish, actor_id: str, now: datetime) -> Attestation:
    """Put a statement before the other side. Who may speak for `wish.side` is for the caller to say.

    Raises: NotFound, Invalid, WrongState (not decided yet, one is open, or there are too many).
    """
    said = read_statement(wish.stretches, unused=wish.unused)
    paper = read_document(wish.document)
    note = clean(wish.note, field="note", longest=LONGEST_NOTE) if wish.note and wish.note.strip() else None
    booking = bookings.refresh_locked(session, booking_id)
    before = queries.attestations_of(session, booking_id)
    _require_statable(session, before, booking)
    alone = measured_use(session, booking, stated=NOTHING_STATED)
    overtime = overtimes(session, [booking])[booking.id]
    known = Known(seen_around(session, booking), down(session, booking), alone, overtime)
    check(said, known, measured_use(session, booking, stated=said))
    _keep(session, paper, now)
    row = Attestation(
        id=new_id("att"),
        booking_id=booking.id,
        resource_id=booking.resource_id,
        number=len(before) + 1,
        stretches=as_json(said),
        note=note,
        document_digest=paper.digest,
        side=wish.side,
        state=AttestationState.OPEN,
        stated_by=actor_id,
        stated_at=now,
    )
    session.add(row)
    session.flush()
    _record(session, row, booking, "state_use", actor_id, now)
    tell_waiting(session, row, booking, now)
    return row


def _require_statable(session: Session, before: Sequence[Attestation], booking: Booking) -> None:
    """Raises: WrongState."""
    if devices.use_of_booking(session, booking.id) is None:
        raise WrongState(state="undecided", move="attest")
    if any(one.state is AttestationState.OPEN for one in before):
        raise WrongState(state="stated", move="attest")
    if len(before) >= MOST_STATEMENTS:
        raise WrongState(state="stated_often", move="attest")


def _keep(session: Session, paper: Paper, now: datetime) -> None:
    size = len(paper.content)
    row = {"digest": paper.digest, "kind": paper.kind, "size": size, "content": paper.content, "created_at": now}
    insert_new(session, AttestationDocument, [row], key="digest")


def sign(session: Session, *, attestation_id: str, actor_id: str, now: datetime) -> Attestation:
    """The other side agrees: what was used is worked out anew, and the booking and its bill follow.

    Raises: NotFound, NotAllowed (who stated it), WrongState (answered or withdrawn).
    """
    row, booking = _open(session, attestation_id)
    _require_another(row, actor_id)
    _answer(session, row, AttestationState.SIGNED, actor_id, now)
    before, use = devices.use_of_booking(session, booking.id), measured_use(session, booking)
    if before is None or differs(before, booking, use):
        write_use(session, booking, use, before, now)
    if booking.state in UNSETTLED:
        bookings.conclude(session, booking_id=booking.id, outcome=devices.OUTCOMES[use.verdict], now=now)
    _record(session, row, booking, "sign_statement_of_use", actor_id, now)
    tell_answered(session, row, booking, now)
    return row


def decline(session: Session, *, attestation_id: str, reason: str, actor_id: str, now: datetime) -> Attestation:
    """The other side does not agree, and says why. Raises: NotFound, Invalid, NotAllowed (who stated it), WrongState."""
    said = clean(reason, field="reason", longest=LONGEST_NOTE)
    row, booking = _open(session, attestation_id)
    _require_another(row, actor_id)
    row.reason = said
    _answer(session, row, AttestationState.DECLINED, actor_id, now)
    _record(session, row, booking, "decline_statement_of_use", actor_id, now)
    tell_answered(session, row, booking, now)
    return row


def withdraw(session: Session, *, attestation_id: str, actor_id: str, now: datetime) -> Attestation:
    """The side that stated it takes it back, as long as nobody has answered. Raises: NotFound, WrongState."""
    row, booking = _open(session, attestation_id)
    _answer(session, row, AttestationState.WITHDRAWN, actor_id, now)
    _record(session, row, booking, "withdraw_statement_of_use", actor_id, now)
    return row


def _open(session: Session, attestation_id: str) -> tuple[Attestation, Booking]:
    """As it is now; of two who answer at once one comes after the other, and telemetry that is folded meanwhile too.

    Raises: NotFound, WrongState.
    """
    found = session.get(Attestation, attestation_id)
    if found is None:
        raise NotFound(kind="attestation")
    devices.lock_devices_of(session, found.resource_id)
    booking = bookings.refresh_locked(session, found.booking_id)
    session.refresh(found)
    if found.state is not AttestationState.OPEN:
        raise WrongState(state=found.state.value, move="answer_statement_of_use")
    return found, booking


def _require_another(row: Attestation, actor_id: str) -> None:
    """Raises: NotAllowed."""
    if row.stated_by == actor_id:
        raise NotAllowed(action="sign_for_both_sides")


def _answer(session: Session, row: Attestation, answer: AttestationState, actor_id: str, now: datetime) -> None:
    row.state, row.answered_by, row.answered_at = answer, actor_id, now
    session.flush()


def _record(session: Session, row: Attestation, booking: Booking, action: str, actor_id: str, now: datetime) -> None:
    said = from_json(row.stretches)
    facts: dict[str, Any] = {
        "attestation": row.id,
        "side": row.side.value,
        "unused": said.unused,
        "stretches": row.stretches,
        "document": row.document_digest,
        "reason": row.reason,
    }
    audit.record(
        session,
        actor_id=actor_id,
        action=action,
        object_kind="booking",
        object_id=booking.id,
        institution_id=booking.institution_id,
        before=None,
        after=facts,
        now=now,
    )
