"""Statements: read, accepted, objected to and answered, marked as paid."""

from collections.abc import Sequence

from fastapi import APIRouter, Response
from starlette.datastructures import FormData

from billing import actions as billing
from billing import queries as bills
from billing.actions import Receipt, ReceivedBefore
from billing.corrections.actions import PaidBackBefore
from billing.objections import actions as objections
from billing.objections.actions import Answer, Doubt
from billing.objections.queries import objections_to
from billing.tables import Statement
from booking import queries
from booking.tables import Booking
from marketplace.permissions import Action, require
from marketplace.refusals import Invalid, NotFound, Refusal, Stale, WrongState
from web.api.billing import latest, require_customer
from web.deps import Db, Now, ReadDb, SignedIn
from web.pages.account import again
from web.pages.bookings import check_version, read_money
from web.pages.drawing import Drawing, Fields, text
from web.pages.sheets import csv_file
from web.paying_back import pay_back
from web.present import bookings
from web.refusals import status_of
from web.views.frame import Area, Form

router = APIRouter(prefix="/{lang}")
COLUMNS = ("number", "line", "minutes", "price_per_hour", "amount", "currency")


@router.get("/bookings/{booking_id}/statement")
def statement(pen: Drawing, booking_id: str, db: ReadDb, actor: SignedIn) -> Response:
    return _statement(pen, db, queries.get_booking_for(db, actor, booking_id))


def _statement(pen: Drawing, db: ReadDb, row: Booking, form: Form | None = None, status: int = 200) -> Response:
    made = bills.statement_of_booking(db, row.id)
    if made is None:
        raise NotFound(kind="statement")
    view = bookings.statement(db, row, made, actor=pen.actor, lang=pen.lang, form=form or Form())
    return pen.page("statement.html", view, status=status, area=Area.BOOKINGS, zone=view.zone)


@router.get("/bookings/{booking_id}/statement.pdf")
def as_pdf(pen: Drawing, booking_id: str, db: ReadDb, actor: SignedIn) -> Response:
    row = queries.get_booking_for(db, actor, booking_id)
    view = bookings.statement(db, row, latest(db, booking_id), actor=actor, lang=pen.lang)
    return pen.paper("statement_paper.html", view, name=f"{view.number}.pdf")


@router.get("/bookings/{booking_id}/statement.csv")
def as_csv(pen: Drawing, booking_id: str, db: ReadDb, actor: SignedIn) -> Response:
    """Its lines; amounts as decimals, so that they add up in a spreadsheet."""
    row = queries.get_booking_for(db, actor, booking_id)
    view = bookings.statement(db, row, latest(db, booking_id), actor=actor, lang=pen.lang)
    return csv_file(f"{view.number}.csv", COLUMNS, [(view.number, *line.cells) for line in view.lines])


@router.post("/bookings/{booking_id}/statement/accept")
def accept(pen: Drawing, booking_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    row = queries.get_booking_for(db, actor, booking_id)
    require_customer(actor, row)
    made = latest(db, booking_id)
    try:
        check_version(made.number, fields)
        billing.accept_statement(db, statement_id=made.id, actor_id=actor.known_id, now=now)
    except (WrongState, Stale) as refusal:
        return _statement(pen, db, row, again(pen, fields, refusal), status_of(refusal))
    return pen.go(f"/bookings/{booking_id}/statement", "accepted")


@router.post("/bookings/{booking_id}/statement/dispute")
def dispute(pen: Drawing, booking_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    row = queries.get_booking_for(db, actor, booking_id)
    require_customer(actor, row)
    made = latest(db, booking_id)
    try:
        check_version(made.number, fields)
        reason, doubts = text(fields, "reason"), _doubts(made, fields)
        objections.dispute_statement(db, statement_id=made.id, reason=reason, doubts=doubts, actor_id=actor.known_id, now=now)
    except (WrongState, Stale, Invalid) as refusal:
        return _statement(pen, db, row, again(pen, fields, refusal, "reason"), status_of(refusal))
    return pen.go(f"/bookings/{booking_id}/statement", "disputed")


def _doubts(made: Statement, fields: FormData) -> list[Doubt]:
    """Of the lines beside which something was written."""
    written = ((line, text(fields, f"line_{line}")) for line in range(len(made.lines)))
    return [Doubt(line, reason) for line, reason in written if reason]


@router.post("/bookings/{booking_id}/statement/resolve")
def resolve(pen: Drawing, booking_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    """The institution's answer: of each line that was objected to, or one amount for the whole."""
    row = queries.get_booking_for(db, actor, booking_id)
    require(actor, Action.HANDLE_MONEY, institution_id=row.institution_id)
    made, who = latest(db, booking_id), actor.known_id
    lines = [one.line for one in objections_to(db, made.id)]
    try:
        check_version(made.number, fields)
        if lines:
            answers = [_answer(made, number, line, fields) for number, line in enumerate(lines)]
            objections.answer_objections(db, statement_id=made.id, answers=answers, actor_id=who, now=now)
        else:
            charge = read_money(text(fields, "charge"), made.currency)
            objections.resolve_dispute(db, statement_id=made.id, charge=charge, actor_id=who, now=now)
    except (WrongState, Stale, Invalid) as refusal:
        return _statement(pen, db, row, again(pen, fields, refusal, _beside(refusal, lines)), status_of(refusal))
    return pen.go(f"/bookings/{booking_id}/statement", "resolved")


def _beside(refusal: Refusal, lines: Sequence[int]) -> str:
    """The field of the form: of the line that is meant, or of the whole."""
    field = str(refusal.values.get("field", "")).split(".")
    if len(field) == 3 and field[0] == "lines":
        return f"{field[2]}_{lines[int(field[1])]}"
    return "charge"


def _answer(made: Statement, number: int, line: int, fields: FormData) -> Answer:
    """Raises: Invalid."""
    try:
        amount = read_money(text(fields, f"amount_{line}"), made.currency)
    except Invalid as refusal:
        raise Invalid(field=f"lines.{number}.amount", reason=refusal.values["reason"]) from refusal
    return Answer(line, amount, text(fields, f"answer_{line}"))


@router.post("/bookings/{booking_id}/statement/received")
def received(pen: Drawing, booking_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    row = queries.get_booking_for(db, actor, booking_id)
    require(actor, Action.HANDLE_MONEY, institution_id=row.institution_id)
    made = latest(db, booking_id)
    try:
        receipt = Receipt(text(fields, "reference"), read_money(text(fields, "amount"), made.currency), now.date())
        billing.mark_received(db, statement_id=made.id, receipt=receipt, actor_id=actor.known_id, now=now)
    except (WrongState, Invalid, ReceivedBefore) as refusal:
        place = {"serial": "reference", "received_before": "reference"}.get(str(refusal.values.get("field", refusal.code)))
        return _statement(pen, db, row, again(pen, fields, refusal, place), status_of(refusal))
    return pen.go(f"/bookings/{booking_id}/statement", "received")


@router.post("/bookings/{booking_id}/statement/returned")
def returned(pen: Drawing, booking_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    row = queries.get_booking_for(db, actor, booking_id)
    require(actor, Action.HANDLE_MONEY, institution_id=row.institution_id)
    made, serial = latest(db, booking_id), text(fields, "reference")
    try:
        check_version(made.number, fields)
        pay_back(db, booking_id=booking_id, serial=serial, actor_id=actor.known_id, now=now)
    except (WrongState, Invalid, Stale, PaidBackBefore) as refusal:
        place = "reference" if "serial" in {refusal.values.get("field"), *refusal.values} else None
        return _statement(pen, db, row, again(pen, fields, refusal, place), status_of(refusal))
    return pen.go(f"/bookings/{booking_id}/statement", "returned")
