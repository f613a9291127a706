"""The operator's page of payments: what was refused, what was put aside, and each institution's account at the provider."""

from fastapi import APIRouter, Response

from billing import webhooks
from billing.payments import payouts, refunds
from marketplace.refusals import Invalid
from web.deps import Db, Now, ReadDb, SignedIn
from web.pages.account import again
from web.pages.drawing import Drawing, Fields, text
from web.pages.operator import require_operator
from web.present.payments import payments
from web.refusals import status_of
from web.views.frame import Area

router = APIRouter(prefix="/{lang}/operator/payments")
TEMPLATE = "operator_payments.html"


@router.get("")
def page(pen: Drawing, db: ReadDb, actor: SignedIn, now: Now) -> Response:
    require_operator(actor)
    return pen.page(TEMPLATE, payments(db, pen.lang, now), area=Area.OPERATOR)


@router.post("/accounts")
def set_account(pen: Drawing, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    """Form: institution_id, account_id."""
    require_operator(actor)
    try:
        payouts.set_payout_account(
            db,
            institution_id=text(fields, "institution_id"),
            account_id=text(fields, "account_id"),
            actor_id=actor.known_id,
            now=now,
        )
    except Invalid as refusal:
        view = payments(db, pen.lang, now, again(pen, fields, refusal))
        return pen.page(TEMPLATE, view, status=status_of(refusal), area=Area.OPERATOR)
    return pen.go("/operator/payments", "saved")


@router.post("/events/{event_id}/again")
def look_again(pen: Drawing, event_id: str, _fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    require_operator(actor)
    webhooks.look_again(db, event_id=event_id, now=now)
    return pen.go("/operator/payments")


@router.post("/refunds/{payment_id}/again")
def send_again(pen: Drawing, payment_id: str, _fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    """What came back goes out once more."""
    require_operator(actor)
    refunds.send_again(db, payment_id=payment_id, now=now)
    return pen.go("/operator/payments")
