"""Pages of the provider's on which a payer pays, has an amount held or keeps a card: asked for, read again, closed."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from billing import queries
from billing.payments.calls import amount_of, new_payment, payer_of, queue_call
from billing.payments.queries import asked_for, find_page
from billing.payments.tables import Page
from billing.providers.base import CheckoutFact, CheckoutState, Purpose, SetupFact, SetupState, Way
from billing.tables import CallState, Operation, Payment, PaymentState
from booking.tables import Booking
from marketplace.catalogue.queries import get_resource
from marketplace.money import Money

HELD_FOR = timedelta(minutes=45)
"""A booking that is paid on a page is held so long at least: the provider lets no page live for less than 30 minutes."""
LISTEN = timedelta(minutes=5)
"""So long before its hold a page ends, so that what was paid at the last moment is heard of in time."""
PAGE_LIFE = timedelta(hours=1)
"""Of a page for what is open, which a payer has just asked for."""
WALLETS = (Way.ALIPAY, Way.WECHAT_PAY)
WALLET_CURRENCY = "CNY"


def ways_for(currency: str) -> tuple[Way, ...]:
    """How what is open may be paid on a page."""
    return (Way.CARD, *WALLETS) if currency == WALLET_CURRENCY else (Way.CARD,)


def want_page(
    session: Session, *, booking: Booking, purpose: Purpose, amount: Money, ways: Sequence[Way], ends_at: datetime, now: datetime
) -> Payment:
    """Ask for a page; its payment begins with it."""
    payment = new_payment(session, booking, amount, now)
    session.add(Page(payment_id=payment.id, purpose=purpose, ends_at=ends_at, created_at=now))
    payer, place = payer_of(session, booking), get_resource(session, booking.resource_id)
    parameters = {
        **amount_of(amount),
        **payer,
        "purpose": purpose.value,
        "ways": [way.value for way in ways],
        "ends_at": ends_at.isoformat(),
        "name": (place.name_en if payer["language"] == "en" else None) or place.name,
    }
    queue_call(session, payment=payment, operation=Operation.PAGE, parameters=parameters, now=now)
    return payment


def end_within(booking: Booking, now: datetime) -> datetime:
    """Until when a page for a booking that is held may be open."""
    return booking.hold_until - LISTEN if booking.hold_until else now + PAGE_LIFE


def ask_bank(session: Session, payment: Payment, object_id: str, url: str, booking: Booking, now: datetime) -> None:
    """The payer's bank has a question before it holds the amount: here it can be answered."""
    if payment.state is PaymentState.WANTED:
        payment.object_id = object_id
        session.add(
            Page(
                payment_id=payment.id,
                purpose=Purpose.HOLD,
                url=url,
                ends_at=booking.hold_until or booking.starts_at,
                created_at=now,
            )
        )
        session.flush()


def apply_page(session: Session, *, payment: Payment, fact: CheckoutFact) -> None:
    """Move a page forward to what the provider has of it; one that ended unpaid ends its payment."""
    queries.lock_payments(session, payment.booking_id)
    page = find_page(session, payment.id)
    if page is None or payment.state is not PaymentState.WANTED:
        return
    page.object_id = page.object_id or fact.object_id
    if fact.state is CheckoutState.EXPIRED:
        page.url, payment.state = None, PaymentState.FAILED
    elif fact.state is CheckoutState.OPEN:
        page.url, page.ends_at = fact.page, fact.expires_at
    session.flush()


def apply_setup(session: Session, *, payment: Payment, fact: SetupFact, now: datetime) -> None:
    """The card that an amount will be held on: kept, or waiting for its payer's answer to the bank."""
    queries.lock_payments(session, payment.booking_id)
    page = find_page(session, payment.id)
    if page is None or page.kept_at or payment.state is not PaymentState.WANTED:
        return
    page.object_id = page.object_id or fact.object_id
    if fact.state is SetupState.SUCCEEDED and fact.method:
        payment.customer_id, payment.method_id = fact.customer_id, fact.method.object_id
        page.url, page.kept_at = None, now
    elif fact.state is SetupState.NEEDS_PAYER and not asked_for(session, payment.id, Operation.PAGE):
        page.url = fact.page
    session.flush()


def close_or_forget(session: Session, payment: Payment, now: datetime) -> bool:
    """End what a payer could still do for a payment, or a card that waits for its time; False where there is neither."""
    page = find_page(session, payment.id)
    if page is None or payment.state is not PaymentState.WANTED or asked_for(session, payment.id, Operation.HOLD):
        return False
    if page.kept_at or asked_for(session, payment.id, Operation.KEEP):
        payment.state = PaymentState.RELEASED
        session.flush()
    elif not asked_for(session, payment.id, Operation.CLOSE):
        queue_call(session, payment=payment, operation=Operation.CLOSE, parameters={}, now=now)
    return True


def look(session: Session, *, booking_id: str, now: datetime) -> int:
    """Have the booking's open pages read again: their payer says that they did something there. How many are."""
    looking = 0
    calls = queries.calls_of(session, booking_id)
    waiting = {call.payment_id for call in calls if call.operation is Operation.READ and call.state is CallState.WAITING}
    for payment in queries.payments_of(session, booking_id):
        page = find_page(session, payment.id)
        on_page = asked_for(session, payment.id, Operation.PAGE)
        if page and page.url and on_page and payment.state is PaymentState.WANTED and payment.id not in waiting:
            queue_call(session, payment=payment, operation=Operation.READ, parameters={}, now=now)
            looking += 1
    return looking
