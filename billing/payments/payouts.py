"""What goes out to institutions of the money that was taken for them."""

import re
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from billing import queries, settlement
from billing.payments.calls import amount_of, queue_call
from billing.resale import queries as resale
from billing.tables import CallState, Operation, Payment, PayoutAccount
from booking.queries import get_booking
from marketplace import audit
from marketplace.money import Money
from marketplace.people.queries import get_institution
from marketplace.refusals import Invalid

ACCOUNT = re.compile(r"acct_[A-Za-z0-9_]{1,80}")
REFUSED_AGAIN = timedelta(days=1)
"""So long after the provider or the payer's bank refused money is asked for again."""


def set_payout_account(session: Session, *, institution_id: str, account_id: str, actor_id: str | None, now: datetime) -> None:
    """Say where the institution's share goes; what is owed goes there from now on. Raises: Invalid, NotFound."""
    get_institution(session, institution_id)
    if not ACCOUNT.fullmatch(account_id):
        raise Invalid(field="account_id", reason="must be the id of an account at the provider, acct_ and letters or digits")
    row = queries.find_payout_account(session, institution_id)
    before = row.account_id if row else None
    if before == account_id:
        return
    if row is None:
        session.add(PayoutAccount(institution_id=institution_id, account_id=account_id, created_at=now))
    else:
        row.account_id, row.created_at = account_id, now
    audit.record(
        session,
        actor_id=actor_id,
        action="set_payout_account",
        object_kind="institution",
        object_id=institution_id,
        institution_id=institution_id,
        before={"account": before} if before else None,
        after={"account": account_id},
        now=now,
    )


def transfers_asked(session: Session, payment: Payment) -> int:
    """What was asked to go out to the institution of a payment, minor units."""
    call = queries.find_call(session, payment.id, Operation.TRANSFER)
    return int(call.parameters["amount"]) if call and call.state is not CallState.FAILED else 0


def queue_transfer(session: Session, payment: Payment, taken: Money, now: datetime) -> None:
    """Pay the institution its share of one charge: of all that was taken so far, less what went out; never more than taken.

    What the institution paid back itself was neither taken nor went out.
    """
    booking = get_booking(session, payment.booking_id)
    account = queries.find_payout_account(session, booking.institution_id)
    charge, fee = queries.cash_sums(session, booking.id)
    if account is None or charge <= 0 or not taken or not _may_go_out(session, payment, account, now):
        return
    if resale.awaits(session, booking.id):  # part of the fee may have to go back to the firm
        return
    returned = queries.paid_back(session, booking.id)
    paid = min(charge, queries.taken_by_provider(session, booking.id) - returned)
    first, _ = settlement.transfers(
        [Money(paid, taken.currency), Money(charge - paid, taken.currency)], Money(charge - fee, taken.currency)
    )
    share = min(first - Money(queries.asked_to_transfer(session, booking.id) - returned, taken.currency), taken)
    if share.minor > 0:
        parameters = {**amount_of(share), "destination": account.account_id}
        queue_call(session, payment=payment, operation=Operation.TRANSFER, parameters=parameters, now=now)


def _may_go_out(session: Session, payment: Payment, account: PayoutAccount, now: datetime) -> bool:
    """Once, and again a day after it was refused, or at once to another account."""
    call = queries.find_call(session, payment.id, Operation.TRANSFER)
    if call is None or call.done_at is None:
        return call is None
    return call.state is CallState.FAILED and (call.done_at <= now - REFUSED_AGAIN or call.done_at < account.created_at)
