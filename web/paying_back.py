"""What a firm has paid too much and an institution pays back by bank: of a cancellation's fee, or of a corrected bill."""

from datetime import datetime

from sqlalchemy.orm import Session

from billing.corrections.actions import mark_paid_back
from billing.resale import actions as resale
from billing.resale.queries import find_credit


def pay_back(session: Session, *, booking_id: str, serial: str, actor_id: str, now: datetime) -> None:
    """Raises: NotFound, WrongState (nothing is to be paid back), Invalid, PaidBackBefore."""
    if find_credit(session, booking_id) is not None:
        resale.mark_returned(session, booking_id=booking_id, serial=serial, actor_id=actor_id, now=now)
    else:
        mark_paid_back(session, booking_id=booking_id, serial=serial, actor_id=actor_id, now=now)
