"""A booking's payment over JSON: its state, and a page of the provider's to pay what is open."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from billing import queries as bills
from billing.ledger import Account
from billing.payments import queries as payments
from billing.payments.owing import pay_open, what_is_open
from billing.payments.tables import Page
from billing.tables import Payment, PaymentState
from booking import queries as booking
from booking.tables import Booking
from marketplace.money import Money
from web.api import shapes
from web.api.billing import require_customer
from web.deps import Db, Now, OneAnswer, ReadDb, SignedIn

router = APIRouter(prefix="/api/v1/bookings/{booking_id}/payment", tags=["billing"])


@router.get("")
def payment(booking_id: str, db: ReadDb, actor: SignedIn, now: Now) -> dict[str, Any]:
    return _shape(db, booking.get_booking_for(db, actor, booking_id), now)


@router.post("/page", status_code=202)
def page(booking_id: str, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    """Ask for a page to pay what is open, or to have the amount held; its address is in the payment a moment later."""
    row = booking.get_booking_for(db, actor, booking_id)
    require_customer(actor, row)

    def make() -> dict[str, Any]:
        pay_open(db, booking=row, now=now)
        return _shape(db, row, now)

    return once.answer(202, make)


def _shape(db: Session, row: Booking, now: datetime) -> dict[str, Any]:
    quote = bills.quote_of_booking(db, row.id)
    found = what_is_open(db, booking=row, now=now)

    def on(account: Account, sign: int = 1) -> dict[str, Any]:
        return shapes.money(Money(sign * bills.balance_of(db, account, booking_id=row.id), quote.currency))

    return {
        "booking_id": row.id,
        "funding": quote.funding.value,
        "quote": shapes.money(Money(quote.quote_minor, quote.currency)),
        "owed": on(Account.AR),
        "on_its_way_back": on(Account.RIT, -1),
        "came_back": on(Account.SUS, -1),
        "open": {"kind": found.need.value, "amount": shapes.money(found.amount)} if found else None,
        "payments": [_payment(db, one) for one in bills.payments_of(db, row.id)],
    }


def _payment(db: Session, row: Payment) -> dict[str, Any]:
    page = payments.find_page(db, row.id)
    money = {"wanted": row.wanted_minor, "authorised": row.authorised_minor, "captured": row.captured_minor}
    return {
        "id": row.id,
        "state": row.state.value,
        **{name: shapes.money(Money(minor, row.currency)) for name, minor in money.items()},
        "prepaid": row.prepaid,
        "capture_before": shapes.instant(row.capture_before),
        "page": _page(page) if page and page.url and row.state is PaymentState.WANTED else None,
        "card_kept_at": shapes.instant(page.kept_at) if page else None,
        "refunds": [
            {"id": one.id, "state": one.state.value, "amount": shapes.money(Money(one.amount_minor, row.currency))}
            for one in payments.refunds_of(db, row.id)
        ],
    }


def _page(page: Page) -> dict[str, Any]:
    return {"url": page.url, "purpose": page.purpose.value, "ends_at": shapes.instant(page.ends_at)}
