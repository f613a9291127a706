"""Statements, simulations and Stripe's webhooks over JSON."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Request, Response

from billing import actions, queries, simulation, webhooks
from billing.actions import Receipt
from billing.objections.queries import answered_before, objections_to
from billing.objections.tables import Objection
from billing.running import read_meter
from billing.tables import Statement
from billing.tariffs.presets import Preset, presets
from booking import queries as booking
from booking.tables import Booking
from devices import queries as equipment
from marketplace.money import Money
from marketplace.permissions import Action, Actor, require
from marketplace.refusals import NotAllowed, NotFound
from web.api import programmes, shapes
from web.api.basis import evidence_of
from web.deps import Configured, Db, Now, OneAnswer, ReadDb, SignedIn, read_body, read_date
from web.paying_back import pay_back

router = APIRouter(prefix="/api/v1", tags=["billing"])


@router.post("/price-simulations")
def simulate(body: Annotated[dict[str, Any], Body()], _actor: SignedIn) -> dict[str, Any]:
    return simulation.simulate(simulation.parse(body)).as_json()


@router.get("/price-presets")
def price_presets(_actor: SignedIn, price_per_hour: int = 10_000, currency: str = "CNY") -> dict[str, Any]:
    """Rules of real institutions as policies of a listing at that price, minor units."""
    listed = simulation.read_price({"price_per_hour": price_per_hour, "currency": currency})
    return {"items": [_preset(one, listed) for one in presets().values()]}


def _preset(one: Preset, listed: Money) -> dict[str, Any]:
    return {
        "key": one.key,
        "institution": one.institution,
        "what": one.what,
        "source": one.source,
        "dated": one.dated.isoformat() if one.dated else None,
        "price_per_hour": one.price_per_hour,
        "currency": one.currency,
        "leaves_out": one.leaves_out,
        "policy": one.terms(listed),
    }


@router.get("/bookings/{booking_id}/meter")
def meter(booking_id: str, db: ReadDb, actor: SignedIn, now: Now) -> dict[str, Any]:
    """What a running use has come to; 404 before it begins, and once its statement says it."""
    found = read_meter(db, booking.get_booking_for(db, actor, booking_id), now=now)
    if found is None:
        raise NotFound(kind="meter")
    lines = [simulation.line_json(line) for line in found.charge.lines] if found.charge else []
    amounts = {"charge": shapes.money(found.amount), "quote": shapes.money(found.quoted)}
    seconds = {"confirmed_s": found.confirmed_s, "overrun_s": found.overrun_s}
    return {"at": shapes.instant(found.at), **seconds, "lines": lines, **amounts}


@router.get("/bookings/{booking_id}/statement")
def statement(booking_id: str, db: ReadDb, actor: SignedIn) -> dict[str, Any]:
    booking.get_booking_for(db, actor, booking_id)
    return shape(db, latest(db, booking_id))


def latest(db: ReadDb, booking_id: str) -> Statement:
    """The newest version. Raises: NotFound."""
    row = queries.statement_of_booking(db, booking_id)
    if row is None:
        raise NotFound(kind="statement")
    return row


def shape(db: ReadDb, row: Statement) -> dict[str, Any]:
    """With the records of evidence that its minutes rest on."""
    booked, use = booking.get_booking(db, row.booking_id), equipment.use_of_booking(db, row.booking_id)
    return {
        "id": row.id,
        "booking_id": row.booking_id,
        "number": row.number,
        "state": row.state.value,
        "outcome": row.outcome.value,
        "funding": row.funding.value,
        "lines": row.lines,
        "charge": {"minor": row.charge_minor, "currency": row.currency},
        "customer_pays": {"minor": row.firm_minor, "currency": row.currency},
        "programmes": programmes.shares_shape(db, row),
        "platform_fee": {"minor": row.fee_minor, "currency": row.currency},
        "minutes": {
            "booked": row.booked_s / 60,
            "logged": row.logged_s / 60,
            "confirmed": row.confirmed_s / 60,
            "billed": row.billed_s / 60,
        },
        "objections": [_objection(one, row.currency) for one in objections_to(db, row.id)],
        "answered": [_objection(one, row.currency) for one in answered_before(db, row)],
        "evidence": evidence_of(db, booked, use),
        "due_at": shapes.instant(row.due_at),
        "accepted_at": shapes.instant(row.accepted_at),
        "settled_at": shapes.instant(row.settled_at),
    }


def _objection(row: Objection, currency: str) -> dict[str, Any]:
    """With the institution's answer, once there is one."""
    amount = None if row.amount_minor is None else shapes.money(Money(row.amount_minor, currency))
    return {"line": row.line, "reason": row.reason, "amount": amount, "answer": row.answer}


def require_customer(actor: Actor, row: Booking) -> None:
    """Whoever booked, or a member of the organisation it was booked for, answers its statement. Raises: NotAllowed."""
    if row.person_id != actor.person_id and row.organisation_id not in actor.organisations:
        raise NotAllowed(action=Action.ANSWER_STATEMENTS.value)


@router.post("/bookings/{booking_id}/statement/accept")
def accept(booking_id: str, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    require_customer(actor, booking.get_booking_for(db, actor, booking_id))

    def make() -> dict[str, Any]:
        row = latest(db, booking_id)
        return shape(db, actions.accept_statement(db, statement_id=row.id, actor_id=actor.known_id, now=now))

    return once.answer(200, make)


@router.post("/bookings/{booking_id}/statement/receipts", status_code=201)
def receive(booking_id: str, body: shapes.ReceiptIn, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    found = booking.get_booking_for(db, actor, booking_id)
    require(actor, Action.HANDLE_MONEY, institution_id=found.institution_id)
    received_on = read_date("received_on", body.received_on) or now.date()
    receipt = Receipt(body.serial, body.amount.value(), received_on)

    def make() -> dict[str, Any]:
        row = latest(db, booking_id)
        made = actions.mark_received(db, statement_id=row.id, receipt=receipt, actor_id=actor.known_id, now=now)
        return {"id": made.id, "serial": made.serial, "statement": shape(db, latest(db, booking_id))}

    return once.answer(201, make)


@router.post("/bookings/{booking_id}/statement/returned")
def returned(booking_id: str, body: shapes.ReturnIn, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    """What a cancelled booking's fee or a corrected bill had too much was paid back by bank."""
    found = booking.get_booking_for(db, actor, booking_id)
    require(actor, Action.HANDLE_MONEY, institution_id=found.institution_id)

    def make() -> dict[str, Any]:
        pay_back(db, booking_id=booking_id, serial=body.serial, actor_id=actor.known_id, now=now)
        return shape(db, latest(db, booking_id))

    return once.answer(200, make)


@router.post("/stripe/events", response_model=None)
def events(
    request: Request, db: Db, body: Annotated[bytes, Depends(read_body)], now: Now, settings: Configured
) -> dict[str, bool]:
    configured = settings.stripe_webhook_secrets.get_secret_value()
    if not configured:
        raise NotFound(kind="webhook")
    signature = request.headers.get("stripe-signature", "")
    webhooks.accept(db, webhooks.verify(body, signature, webhooks.read_secrets(configured), now=now), now=now)
    return {"received": True}
