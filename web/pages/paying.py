"""A booking's payment: its state, and the way to pay what is open on a page of the provider's."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy.orm import Session

from billing.payments.owing import pay_open
from billing.payments.pages import look
from booking import queries
from booking.tables import Booking
from marketplace.refusals import Refusal, WrongState
from web.api.billing import require_customer
from web.deps import Db, Now, ReadDb, SignedIn
from web.pages.drawing import Drawing, Fields
from web.present import paying
from web.refusals import status_of
from web.views.frame import Area

router = APIRouter(prefix="/{lang}")
Looks = Annotated[int, Query(ge=0, le=10_000)]


@router.get("/bookings/{booking_id}/payment")
def page(pen: Drawing, booking_id: str, db: ReadDb, actor: SignedIn, now: Now, looks: Looks = 0) -> Response:
    return _drawn(pen, db, queries.get_booking_for(db, actor, booking_id), now, looks=looks if pen.partial else 0)


def _drawn(pen: Drawing, db: Session, row: Booking, now: Now, *, looks: int = 0, refusal: Refusal | None = None) -> Response:
    view = paying.view(db, row, actor=pen.actor, lang=pen.lang, now=now, looks=looks, refusal=refusal)
    template, status = "_payment.html" if pen.partial else "payment.html", status_of(refusal) if refusal else 200
    return pen.page(template, view, status=status, area=Area.BOOKINGS, zone=view.zone)


@router.post("/bookings/{booking_id}/payment")
def pay(pen: Drawing, booking_id: str, _fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    """Ask for a page for what is open; it is there a moment later."""
    row = queries.get_booking_for(db, actor, booking_id)
    require_customer(actor, row)
    try:
        pay_open(db, booking=row, now=now)
    except WrongState as refusal:
        return _drawn(pen, db, row, now, refusal=refusal)
    return pen.go(f"/bookings/{row.id}/payment")


@router.get("/bookings/{booking_id}/payment/back")
def back(pen: Drawing, booking_id: str, db: Db, actor: SignedIn, now: Now) -> Response:
    """The payer comes back from the provider: what they did there is looked at now. However often, it changes nothing more."""
    row = queries.get_booking_for(db, actor, booking_id)
    look(db, booking_id=row.id, now=now)
    return pen.go(f"/bookings/{row.id}/payment")
