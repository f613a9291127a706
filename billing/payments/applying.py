"""What the provider tells of a payment, whoever heard of it: the call that asked, an event, a sweep."""

from datetime import datetime

from sqlalchemy.orm import Session

from billing.payments.actions import apply_payment, settle_if_paid
from billing.payments.pages import apply_page, apply_setup
from billing.providers.base import CheckoutFact, PaymentFact, SetupFact
from billing.tables import Payment
from booking.queries import get_booking

PayerFact = PaymentFact | SetupFact | CheckoutFact


def apply_fact(session: Session, *, payment: Payment, fact: PayerFact, now: datetime) -> bool:
    """Move a payment, its page or its card forward to what the provider has; False where that contradicts what was asked."""
    match fact:
        case PaymentFact():
            return apply_payment(session, payment=payment, fact=fact, now=now)
        case SetupFact():
            apply_setup(session, payment=payment, fact=fact, now=now)
        case CheckoutFact():
            apply_page(session, payment=payment, fact=fact)
            settle_if_paid(session, booking=get_booking(session, payment.booking_id), now=now)
    return True
