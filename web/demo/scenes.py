"""What a visitor finds whatever chance brings: a use that both sides signed, a disputed bill of a line, and late readings."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from billing import actions as billing
from billing import queries as bills
from billing.objections import actions as objections
from booking import queries as bookings
from devices.attestations.actions import Wish
from devices.attestations.statements import Side
from devices.intake import actions as intake
from devices.machines import Machine, history
from devices.readings import Envelope
from marketplace.people import queries as known
from marketplace.permissions import Actor
from marketplace.slot import Slot
from web import attesting, checkout
from web.checkout import Order
from web.demo.equipment import work_of
from web.demo.stage import Stage
from web.demo.story import story

AHEAD = timedelta(days=3)
HOLD = timedelta(minutes=10)
APART = timedelta(milliseconds=20)
"""Between two messages that a gateway sends at once."""
STATED_BY = "technician@demo.example"
OBJECTION = "层析柱中途更换，现场记录停机约四十分钟，请核减。"
NOTE = "电表网关当日离线；按批记录开停机时间填报。"
Booked = Mapping[str, str]
"""Booking ids by the scenes' keys."""


def book(session: Session, stage: Stage, number: int) -> Booked:
    """Those of that day, before anybody else comes, so that nobody is in the way."""
    return {one["key"]: _booked(session, stage, one) for one in story()["scenes"] if one["day"] == number}


def _booked(session: Session, stage: Stage, one: Mapping[str, Any]) -> str:
    order = Order(stage.cast.equipment[one["resource"]].resource_id, _slot(stage, one), purpose=one["purpose"])
    made, _ = checkout.book(
        session, actor=_actor(session, stage, one["by"]), order=order, now=order.slot.start - AHEAD, hold=HOLD
    )
    return made.id


def _slot(stage: Stage, one: Mapping[str, Any]) -> Slot:
    start = stage.day(one["day"]).start + timedelta(hours=one["hour"])
    return Slot(start, start + timedelta(hours=one["hours"]))


def _actor(session: Session, stage: Stage, email: str) -> Actor:
    return known.get_actor(session, stage.cast.people[email])


def silenced(stage: Stage, machines: Sequence[Machine]) -> list[Machine]:
    """The machines with their meters silent where a scene has it so."""
    silent = {_key(stage, one["resource"]): _silence(stage, one) for one in story()["scenes"] if "silent" in one}
    return [replace(one, blind=(*one.blind, silent[one.key])) if one.key in silent else one for one in machines]


def _key(stage: Stage, resource: str) -> str:
    return stage.cast.credentials[stage.cast.equipment[resource].resource_id].key


def _silence(stage: Stage, one: Mapping[str, Any]) -> Slot:
    start = _slot(stage, one).start
    return Slot(start + timedelta(hours=one["silent"][0]), start + timedelta(hours=one["silent"][1]))


def play(stage: Stage, booked: Booked, machines: Sequence[Machine], number: int) -> None:
    """What happens on that day before its evening; `machines` as they were before any was silenced."""
    day = {one["key"]: one for one in story()["scenes"] if one["day"] == number - 1}
    morning = stage.day(number).start
    if "attested" in day:
        with stage.sessions.begin() as session:
            attest(session, stage, booked["attested"], morning)
    if "disputed" in day:
        with stage.sessions.begin() as session:
            dispute(session, booked["disputed"], morning + timedelta(hours=11))
    if "late" in day:
        scene, key = day["late"], _key(stage, day["late"]["resource"])
        machine = next(one for one in machines if one.key == key)
        come_late(stage, booked["late"], machine, _silence(stage, scene), morning + timedelta(hours=8, minutes=10))


def attest(session: Session, stage: Stage, booking_id: str, morning: datetime) -> None:
    """Nobody knows what was used: the house says it by its batch record, the customer signs."""
    row = bookings.get_booking(session, booking_id)
    customer, technician = known.get_actor(session, row.person_id), _actor(session, stage, STATED_BY)
    wish = Wish(Side.PROVIDER, [work_of(row)], unused=False, document=batch_record(row.id, work_of(row)), note=NOTE)
    made = attesting.state(session, actor=technician, booking=row, wish=wish, now=morning + timedelta(hours=10))
    attesting.sign(session, actor=customer, attestation_id=made.id, now=morning + timedelta(hours=15))


def dispute(session: Session, booking_id: str, now: datetime) -> None:
    open_one = bills.statements_of_booking(session, booking_id)[-1]
    person_id = bookings.get_booking(session, booking_id).person_id
    objections.dispute_statement(session, statement_id=open_one.id, reason=OBJECTION, actor_id=person_id, now=now)


def come_late(stage: Stage, booking_id: str, machine: Machine, silence: Slot, now: datetime) -> None:
    """The bill is accepted; then the gateway is back and sends what it kept, in time for a correction."""
    with stage.sessions.begin() as session:
        open_one = bills.statements_of_booking(session, booking_id)[-1]
        person_id = bookings.get_booking(session, booking_id).person_id
        billing.accept_statement(session, statement_id=open_one.id, actor_id=person_id, now=now)
    back, folded = now + timedelta(minutes=25), now + timedelta(minutes=26)
    with stage.sessions.begin() as session:
        intake.store(session, list(_at_once(machine, silence, back)))
    stage.fold(folded)
    with stage.sessions.begin() as session:
        billing.draft_statements(session, now=folded)


def _at_once(machine: Machine, silence: Slot, now: datetime) -> Iterator[Envelope]:
    for number, envelope in enumerate(history(machine, silence)):
        yield envelope._replace(received_at=now + APART * number)


def batch_record(booking_id: str, work: Slot) -> bytes:
    """A page of PDF with the times of the work."""
    times = (f"{word} {at:%Y-%m-%d %H:%M} UTC" for word, at in (("Started", work.start), ("Stopped", work.end)))
    said = ("Batch record", f"Booking {booking_id}", *times)
    text = "BT /F1 14 Tf 72 760 Td 22 TL " + " ".join(f"({line}) Tj T*" for line in said) + " ET"
    parts = (
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
        f"<< /Length {len(text)} >>\nstream\n{text}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    body, places = "%PDF-1.4\n", []
    for number, part in enumerate(parts, start=1):
        places.append(len(body))
        body += f"{number} 0 obj\n{part}\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    size = len(parts) + 1
    trailer = f"trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{len(body)}\n%%EOF\n"
    return f"{body}xref\n0 {size}\n0000000000 65535 f \n{table}{trailer}".encode("ascii")
