"""Claims on programmes over JSON: handed in for a time, with a pack for the payer, paid, rejected, passed on."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import Field
from sqlalchemy.orm import Session

from billing.claims import actions, queries
from billing.claims.tables import ProgrammeClaim
from billing.programmes.queries import get_programme
from billing.programmes.tables import FundingProgramme
from marketplace.money import Money
from marketplace.permissions import Actor
from web.api import shapes
from web.api.programmes import require_operator
from web.api.shapes import Day, Instant, Reason, Shape, Text
from web.claim_pack import pack_of
from web.deps import Db, Now, OneAnswer, ReadDb, SignedIn

router = APIRouter(prefix="/api/v1/programmes/{programme_id}/claims", tags=["billing"])


class ClaimIn(Shape):
    """Bills that were accepted in `[from, to)`."""

    from_: Annotated[Instant, Field(alias="from")]
    to: Instant


class PaidIn(Shape):
    """The payer's transfer."""

    serial: Text
    received_on: Day


class RejectedIn(Shape):
    """Why, and which bookings; without them all of the claim."""

    reason: Reason
    booking_ids: Annotated[Sequence[Text], Field(max_length=5000)] = ()


class PassedIn(Shape):
    """The platform's transfer to an institution."""

    institution_id: Text
    serial: Text


def shape(db: Session, programme: FundingProgramme, row: ProgrammeClaim) -> dict[str, Any]:
    lines = queries.lines_of(db, row.id)
    return {
        **short(row),
        "lines": [
            {
                "booking_id": one.share.booking_id,
                "statement_id": one.statement.id,
                "organisation_id": one.entitlement.organisation_id,
                "institution_id": one.statement.institution_id,
                "amount": {"minor": one.share.amount_minor, "currency": row.currency},
                "state": one.share.state.value,
                "reason": one.line.reason,
            }
            for one in lines
        ],
        "payouts": [
            {
                "institution_id": one.institution_id,
                "amount": shapes.money(one.amount),
                "serial": one.passed.serial if one.passed else None,
            }
            for one in queries.to_pass_on(db, row, programme)
        ],
    }


def short(row: ProgrammeClaim) -> dict[str, Any]:
    return {
        "id": row.id,
        "programme_id": row.programme_id,
        "number": row.number,
        "from": shapes.instant(row.period_from),
        "to": shapes.instant(row.period_to),
        "state": row.state.value,
        "asked": shapes.money(Money(row.amount_minor, row.currency)),
        "paid": shapes.money(Money(row.paid_minor, row.currency)),
        "serial": row.serial,
        "received_on": row.received_on.isoformat() if row.received_on else None,
    }


def _of_operator(db: Session, actor: Actor, programme_id: str) -> FundingProgramme:
    """Raises: NotFound."""
    require_operator(actor)
    return get_programme(db, programme_id)


@router.get("")
def claims(programme_id: str, db: ReadDb, actor: SignedIn) -> dict[str, Any]:
    _of_operator(db, actor, programme_id)
    return {"items": [short(row) for row in queries.claims_of(db, programme_id)], "next_cursor": None}


@router.post("", status_code=201)
def submit(programme_id: str, body: ClaimIn, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    programme = _of_operator(db, actor, programme_id)

    def make() -> dict[str, Any]:
        who = actor.known_id
        made = actions.claim(db, programme_id=programme_id, since=body.from_, until=body.to, actor_id=who, now=now)
        return shape(db, programme, made)

    return once.answer(201, make)


@router.get("/{claim_id}")
def claim(programme_id: str, claim_id: str, db: ReadDb, actor: SignedIn) -> dict[str, Any]:
    programme = _of_operator(db, actor, programme_id)
    return shape(db, programme, queries.get_claim(db, programme_id, claim_id))


@router.get("/{claim_id}/pack", response_class=Response)
def pack(programme_id: str, claim_id: str, db: ReadDb, actor: SignedIn) -> Response:
    """A ZIP: the claim as a table, each bill, digests of what it rests on, a manifest with SHA-256."""
    programme = _of_operator(db, actor, programme_id)
    return as_file(db, programme, queries.get_claim(db, programme_id, claim_id))


def as_file(db: Session, programme: FundingProgramme, row: ProgrammeClaim) -> Response:
    headers = {"content-disposition": f'attachment; filename="claim-{programme.id}-{row.number}.zip"'}
    return Response(pack_of(db, programme, row), media_type="application/zip", headers=headers)


@router.post("/{claim_id}/pay")
def pay(programme_id: str, claim_id: str, body: PaidIn, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    """The programme has paid what is left of it."""
    programme = _of_operator(db, actor, programme_id)

    def make() -> dict[str, Any]:
        row = actions.pay(
            db,
            programme_id=programme_id,
            claim_id=claim_id,
            serial=body.serial,
            received_on=body.received_on,
            actor_id=actor.known_id,
            now=now,
        )
        return shape(db, programme, row)

    return once.answer(200, make)


@router.post("/{claim_id}/reject")
def reject(programme_id: str, claim_id: str, body: RejectedIn, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    """The firms owe it themselves from now on, and have their grants back."""
    programme = _of_operator(db, actor, programme_id)

    def make() -> dict[str, Any]:
        row = actions.reject(
            db,
            programme_id=programme_id,
            claim_id=claim_id,
            reason=body.reason,
            booking_ids=body.booking_ids,
            actor_id=actor.known_id,
            now=now,
        )
        return shape(db, programme, row)

    return once.answer(200, make)


@router.post("/{claim_id}/payouts", status_code=201)
def pass_on(programme_id: str, claim_id: str, body: PassedIn, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    """An institution has got its share of what the programme paid to the platform."""
    programme = _of_operator(db, actor, programme_id)

    def make() -> dict[str, Any]:
        actions.pass_on(
            db,
            programme_id=programme_id,
            claim_id=claim_id,
            institution_id=body.institution_id,
            serial=body.serial,
            actor_id=actor.known_id,
            now=now,
        )
        return shape(db, programme, queries.get_claim(db, programme_id, claim_id))

    return once.answer(201, make)
