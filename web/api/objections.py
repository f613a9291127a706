"""Objections to a statement and the institution's answers over JSON."""

from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import Field

from billing.objections import actions
from billing.objections.actions import Answer, Doubt
from booking import queries as booking
from marketplace.money import Money
from marketplace.permissions import Action, require
from marketplace.refusals import Invalid
from web.api.billing import latest, require_customer, shape
from web.api.shapes import Currency, MoneyIn, Prose, Shape, Whole
from web.deps import Db, Now, OneAnswer, SignedIn

router = APIRouter(prefix="/api/v1", tags=["billing"])
MOST_MINOR = 10**13
MOST = 200
"""Lines named in one request; no statement has as many."""


class DoubtIn(Shape):
    line: Whole
    """Its place among the statement's lines, from 0."""
    reason: Prose


class DisputeIn(Shape):
    """Of the whole, of lines, or of both."""

    reason: Prose = ""
    lines: Annotated[tuple[DoubtIn, ...], Field(max_length=MOST)] = ()


class AnswerIn(Shape):
    line: Whole
    amount: MoneyIn
    answer: Prose = ""


class ChargeIn(Shape):
    """Negative where a correction gives something back."""

    minor: Annotated[Whole, Field(ge=-MOST_MINOR, le=MOST_MINOR)]
    currency: Currency


class ResolveIn(Shape):
    """Either what the whole comes to, or each line that was objected to."""

    charge: ChargeIn | None = None
    lines: Annotated[tuple[AnswerIn, ...], Field(max_length=MOST)] | None = None


@router.post("/bookings/{booking_id}/statement/dispute", response_model=None)
def dispute(booking_id: str, body: DisputeIn, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    require_customer(actor, booking.get_booking_for(db, actor, booking_id))
    doubts = [Doubt(one.line, one.reason) for one in body.lines]

    def make() -> dict[str, Any]:
        row, who = latest(db, booking_id), actor.known_id
        found = actions.dispute_statement(db, statement_id=row.id, reason=body.reason, doubts=doubts, actor_id=who, now=now)
        return shape(db, found)

    return once.answer(200, make)


@router.post("/bookings/{booking_id}/statement/resolve", response_model=None)
def resolve(booking_id: str, body: ResolveIn, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    found = booking.get_booking_for(db, actor, booking_id)
    require(actor, Action.HANDLE_MONEY, institution_id=found.institution_id)

    def make() -> dict[str, Any]:
        row, who = latest(db, booking_id), actor.known_id
        if body.charge is not None and body.lines is None:
            charge = Money(body.charge.minor, body.charge.currency)
            return shape(db, actions.resolve_dispute(db, statement_id=row.id, charge=charge, actor_id=who, now=now))
        if body.lines is None or body.charge is not None:
            raise Invalid(field="charge", reason="give either the whole amount or lines")
        answers = [Answer(one.line, one.amount.value(), one.answer) for one in body.lines]
        return shape(db, actions.answer_objections(db, statement_id=row.id, answers=answers, actor_id=who, now=now))

    return once.answer(200, make)
