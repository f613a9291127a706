"""How a booking is secured when it is made: an amount held on a card, a card kept for later, a prepayment by a wallet."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from billing import settlement
from billing.payments.calls import amount_of, new_payment, payer_of, queue_call
from billing.payments.pages import WALLETS, end_within, want_page
from billing.payments.tables import Page
from billing.providers.base import Purpose, Way
from billing.settlement import Funding
from billing.tables import Operation, Payment
from booking.tables import Booking
from marketplace.money import Money

SOON = timedelta(days=5)
"""Of a slot further ahead the card is kept, and the amount held later: no hold would live that long."""


def secure(session: Session, *, booking: Booking, quoted: Money, funding: Funding, method: str | None, now: datetime) -> None:
    """Ask for the quote from a wallet, or for it and a fifth on a card: on `method`, else on the one its payer enters on a page.

    Less than the provider takes online is not asked for and comes on the statement.
    """
    if funding is Funding.BANK or not settlement.capturable(quoted, quoted):
        return
    held, later = settlement.hold_for(quoted), booking.starts_at > now + SOON
    if funding is Funding.WALLET:
        _want(session, booking, Purpose.PREPAY, quoted, now).prepaid = True
    elif method is None:
        _want(session, booking, Purpose.KEEP_CARD if later else Purpose.HOLD, held, now)
    elif later:
        _keep(session, booking, held, method, now)
    else:
        _hold(session, booking, held, method, now)
    session.flush()


def _want(session: Session, booking: Booking, purpose: Purpose, amount: Money, now: datetime) -> Payment:
    ways = WALLETS if purpose is Purpose.PREPAY else (Way.CARD,)
    ends_at = end_within(booking, now)
    return want_page(session, booking=booking, purpose=purpose, amount=amount, ways=ways, ends_at=ends_at, now=now)


def _hold(session: Session, booking: Booking, amount: Money, method: str, now: datetime) -> None:
    payment = new_payment(session, booking, amount, now)
    payment.method_id = method
    parameters = {**amount_of(amount), **payer_of(session, booking)}
    queue_call(session, payment=payment, operation=Operation.HOLD, parameters=parameters, now=now)


def _keep(session: Session, booking: Booking, amount: Money, method: str, now: datetime) -> None:
    payment = new_payment(session, booking, amount, now)
    payment.method_id = method
    session.add(Page(payment_id=payment.id, purpose=Purpose.KEEP_CARD, ends_at=booking.hold_until, created_at=now))
    queue_call(session, payment=payment, operation=Operation.KEEP, parameters=payer_of(session, booking), now=now)
