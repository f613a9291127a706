"""What both sides signed reaches figures and packs as class C; what one side says alone is shown as class D."""

import csv
from pathlib import Path

from sqlalchemy.orm import Session

from booking.states import BookingState
from booking.tables import Booking
from devices.attestations.documents import DocumentKind
from devices.attestations.statements import Side
from devices.attestations.tables import Attestation, AttestationDocument, AttestationState
from devices.segments import State
from evaluation.packs import Stamp, evaluate_pack, verify, write_facts_pack
from evaluation.schemes import DEFAULT, load_scheme
from evaluation.sources.queries import facts_of
from marketplace.ids import new_id
from tests.builders import a_person
from tests.evaluation.test_queries import DAY, NOW, a_line, at, booked, hours_of, seen

OPEN, SIGNED = AttestationState.OPEN, AttestationState.SIGNED


def stated(db: Session, booking: Booking, number: int, state: AttestationState, *spans: tuple[str, str]) -> None:
    """By the provider, of these stretches."""
    if db.get(AttestationDocument, "d") is None:
        db.add(AttestationDocument(digest="d", kind=DocumentKind.PDF, size=1, content=b"x", created_at=NOW))
        db.flush()
    answered = {} if state is OPEN else {"answered_by": a_person(db).id, "answered_at": NOW}
    db.add(
        Attestation(
            id=new_id("att"), booking_id=booking.id, resource_id=booking.resource_id, number=number, side=Side.PROVIDER,
            stretches=[{"start": at(a).isoformat(), "end": at(b).isoformat()} for a, b in spans], document_digest="d",
            state=state, stated_by=a_person(db).id, stated_at=NOW, **answered,
        )
    )  # fmt: skip
    db.flush()


def test_signed_hours_are_class_c_and_half_signed_ones_class_d(db: Session, tmp_path: Path) -> None:
    line = a_line(db)
    one = booked(db, line, "09:00", 3, state=BookingState.COMPLETED)
    other = booked(db, line, "14:00", 2, state=BookingState.UNVERIFIABLE)
    booked(db, line, "13:00", 1)
    seen(db, line, (State.UNKNOWN, "09:00", "12:00"), (State.RUN, "13:00", "14:00"), (State.UNKNOWN, "14:00", "16:00"))
    stated(db, one, 1, SIGNED, ("09:00", "12:00"))
    stated(db, one, 2, AttestationState.DECLINED, ("09:00", "09:30"))
    stated(db, one, 3, SIGNED, ("09:00", "10:00"), ("10:30", "11:30"))
    stated(db, other, 1, OPEN, ("14:00", "15:30"))
    found = hours_of(db, line)
    assert (found["class_a_h"], found["class_c_h"], found["class_d_h"], found["eff_h"]) == ("1.00", "2.00", "1.50", "3.00")
    scheme = load_scheme(DEFAULT)
    facts = facts_of(db, scheme, within=DAY, institution_ids=[line.institution_id])
    write_facts_pack(tmp_path / "pack", facts=facts, scheme=scheme, stamp=Stamp(NOW, "0.1.0"))
    with (tmp_path / "pack" / "attestations.csv").open() as file:
        rows = [(row["booking_id"], row["provider_signed"], row["user_signed"]) for row in csv.DictReader(file)]
    assert rows == [(one.id, "1", "1"), (one.id, "1", "1"), (other.id, "1", "0")]
    assert verify(tmp_path / "pack") == []
    metrics = evaluate_pack(tmp_path / "pack")["units"][line.id]
    assert (metrics["class_c_h"], metrics["class_d_h"]) == ("2.00", "1.50")


def test_a_statement_outside_the_facts_bookings_is_left_out(db: Session) -> None:
    line = a_line(db)
    gone = booked(db, line, "09:00", 3, state=BookingState.REFUSED, decided_at=None)
    seen(db, line, (State.UNKNOWN, "09:00", "12:00"))
    stated(db, gone, 1, SIGNED, ("09:00", "12:00"))
    assert (hours_of(db, line)["class_c_h"], hours_of(db, line)["eff_h"]) == ("0.00", "0.00")
