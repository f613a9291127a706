"""Payments: intentions become calls in the outbox, the provider's facts move a payment forward and are posted once."""

from datetime import datetime

from sqlalchemy.orm import Session

from billing import ledger, queries, settlement
from billing.journal.actions import post
from billing.ledger import Account
from billing.payments.calls import amount_of, new_payment, queue_call
from billing.payments.pages import close_or_forget
from billing.payments.payouts import REFUSED_AGAIN, queue_transfer, transfers_asked
from billing.payments.queries import asked_for, find_card, is_rest, waits_for_its_time
from billing.payments.refunds import apply_refunds, queue_refund, refunds_asked
from billing.providers.base import PaymentFact, Purpose
from billing.settlement import Funding
from billing.tables import CallState, Operation, Payment, PaymentState, ProviderCall, Statement, StatementState
from billing.telling import tell_refused, tell_rest, tell_unsecured
from booking.queries import get_booking
from booking.states import BookingState
from booking.tables import Booking
from marketplace.money import Money

MOST_CHARGES = 3
"""So often a rest is asked for off-session; then it is for people to settle."""
RANK = {state: rank for rank, state in enumerate(PaymentState)}
"""A payment only moves to a higher one."""

ENDED = frozenset({PaymentState.CAPTURED, PaymentState.RELEASED, PaymentState.FAILED})
TAKING = frozenset({Operation.CAPTURE, Operation.CHARGE})
GIVEN_UP = frozenset({BookingState.CANCELLED, BookingState.REFUSED, BookingState.EXPIRED})


def release_all(session: Session, *, booking: Booking, now: datetime) -> None:
    """Let go of everything that is held or about to be held, and give back what was prepaid."""
    for payment in queries.lock_payments(session, booking.id):
        if payment.prepaid and payment.state is PaymentState.CAPTURED:
            _apply_prepayment(session, payment, Money(0, payment.currency), booking, now)
        elif payment.state in ENDED or close_or_forget(session, payment, now):
            continue
        elif not _asked(session, payment, Operation.CAPTURE, Operation.RELEASE):
            queue_call(session, payment=payment, operation=Operation.RELEASE, parameters={}, now=now)


def _asked(session: Session, payment: Payment, *operations: Operation) -> bool:
    return asked_for(session, payment.id, *operations)


def capture(session: Session, payment: Payment, amount: Money, now: datetime) -> None:
    if amount:
        queue_call(session, payment=payment, operation=Operation.CAPTURE, parameters=amount_of(amount), now=now)
    else:
        queue_call(session, payment=payment, operation=Operation.RELEASE, parameters={}, now=now)


def collect(session: Session, *, statement: Statement, now: datetime) -> None:
    """Take what accepted statements left owed: from what is held or prepaid first, the rest by a second charge.

    What is under way already is not asked for again. Less than the provider's minimum stays owed and goes on the monthly
    statement.
    """
    booking = get_booking(session, statement.booking_id)
    held = queries.lock_payments(session, booking.id)
    owed = still_owed(session, booking_id=booking.id, currency=statement.currency)
    for payment in held:
        owed -= _take(session, payment, owed, booking, now)
        if owed.minor < 0 and is_rest(session, payment):
            close_or_forget(session, payment, now)  # what it asks for is too much by now
    if settlement.capturable(owed, owed):
        _charge_rest(session, booking, statement, owed, now)
    if statement.firm_minor < 0:
        give_back(session, booking=booking, now=now)
    settle_if_paid(session, booking=booking, now=now)


def still_owed(session: Session, *, booking_id: str, currency: str) -> Money:
    """What the firm owes for a booking and nothing is under way for; a contradicted call and an open page count as under way."""
    session.flush()
    open_payments = {row.id: row for row in queries.payments_of(session, booking_id) if row.state not in ENDED}
    asked = [
        int(call.parameters["amount"])
        for call in queries.calls_of(session, booking_id)
        if call.payment_id in open_payments and _takes(call, open_payments[call.payment_id])
    ]
    return Money(queries.balance_of(session, Account.AR, booking_id=booking_id) - sum(asked), currency)


def _takes(call: ProviderCall, payment: Payment) -> bool:
    """Whether a call is about to take what is owed; what is prepaid is not owed yet."""
    if call.operation is Operation.PAGE:
        to_pay = call.parameters["purpose"] == Purpose.PREPAY.value
        return to_pay and not payment.prepaid and call.state is not CallState.FAILED
    return call.operation in TAKING and call.state in {CallState.WAITING, CallState.MISMATCH}


def _take(session: Session, payment: Payment, owed: Money, booking: Booking, now: datetime) -> Money:
    """What of `owed` this payment covers, with the call or the posting that takes it."""
    if payment.prepaid and payment.state is PaymentState.CAPTURED:
        return _apply_prepayment(session, payment, owed, booking, now)
    if waits_for_its_time(session, payment):
        close_or_forget(session, payment, now)  # what is owed now is charged to its card, nothing needs to be held any more
    if payment.state is not PaymentState.AUTHORISED or _asked(session, payment, Operation.CAPTURE, Operation.RELEASE):
        return Money(0, owed.currency)
    amount = settlement.capturable(owed, Money(payment.authorised_minor, owed.currency))
    capture(session, payment, amount, now)
    return amount


def _apply_prepayment(session: Session, payment: Payment, owed: Money, booking: Booking, now: datetime) -> Money:
    left = Money(queries.balance_of(session, Account.PREP, booking_id=booking.id) * -1, owed.currency)
    used = max(Money(0, owed.currency), min(owed, left))
    post(session, ledger.prepay_applied(used), source_type="payment", source_id=payment.id, booking=booking, now=now)
    if used < left:
        rest = left - used
        queue_refund(session, payment, rest, booking, payment.id, now)
    queue_transfer(session, payment, used, now)
    return used


def give_back(session: Session, *, booking: Booking, now: datetime) -> int:
    """Refund what the firm has paid too much of its captured payments: by a credit, a correction, or two ways to pay at once.

    Returns how much, minor units. What went out to the institution beyond its share is not refunded: that the institution pays
    back itself.
    """
    asked, (charge, fee) = 0, queries.cash_sums(session, booking.id)
    out = queries.asked_to_transfer(session, booking.id) - queries.paid_back(session, booking.id)
    theirs = max(0, out - (charge - fee))
    for payment in reversed(queries.lock_payments(session, booking.id)):  # what was paid last was too much
        overpaid, refunds = -queries.balance_of(session, Account.AR, booking_id=booking.id), refunds_asked(session, payment)
        left = payment.captured_minor - refunds - transfers_asked(session, payment)
        amount = Money(min(overpaid - theirs, left), payment.currency)
        if payment.state is PaymentState.CAPTURED and amount.minor > 0:
            source = f"{payment.id}:back:{refunds}"
            taken_back = ledger.prepay_applied(-amount)
            post(session, taken_back, source_type="payment", source_id=source, booking=booking, now=now)
            queue_refund(session, payment, amount, booking, source, now)
            asked += amount.minor
    return asked


def pay_out(session: Session, *, booking: Booking, now: datetime) -> None:
    """Send the institution its share of what a decided cancellation leaves of its captured payments."""
    for payment in queries.lock_payments(session, booking.id):
        if payment.state is PaymentState.CAPTURED:
            left = payment.captured_minor - refunds_asked(session, payment)
            queue_transfer(session, payment, Money(left, payment.currency), now)


def _charge_rest(session: Session, booking: Booking, statement: Statement, owed: Money, now: datetime) -> None:
    """A second charge off-session, with the card that was held or kept; where there is none the firm is asked to pay."""
    if statement.funding is Funding.BANK:
        return
    earlier = find_card(session, booking.id)
    if earlier is None:
        tell_rest(session, booking, statement, owed, now)
        return
    payment = new_payment(session, booking, owed, now)
    payment.method_id, payment.customer_id = earlier.method_id, earlier.customer_id
    queue_call(session, payment=payment, operation=Operation.CHARGE, parameters=amount_of(owed), now=now)


def charge_refused(session: Session, *, payment: Payment, now: datetime) -> None:
    """Tell of a rest that the payer's bank refused, and whether the same card will be asked again."""
    accepted = queries.accepted_statement(session, payment.booking_id)
    if accepted is None:
        return
    calls = queries.calls_of(session, payment.booking_id)
    times = sum(call.operation is Operation.CHARGE and call.state is CallState.FAILED for call in calls)
    again = now + REFUSED_AGAIN if times < MOST_CHARGES else None
    booking, owed = get_booking(session, payment.booking_id), Money(payment.wanted_minor, payment.currency)
    tell_refused(session, booking, accepted, owed, number=payment.number, again=again, now=now)


def hold_refused(session: Session, *, payment: Payment, now: datetime) -> None:
    """Tell of a hold that was refused when its time had come, or let go by the bank; the booking stands (decision 0053)."""
    booking = get_booking(session, payment.booking_id)
    if booking.starts_at <= now or booking.state in GIVEN_UP:
        return
    tell_unsecured(session, booking, Money(payment.wanted_minor, payment.currency), cause=payment.id, now=now)


def apply_payment(session: Session, *, payment: Payment, fact: PaymentFact, now: datetime) -> bool:
    """Move a payment forward to what the provider has, and post it once; False where it contradicts what was asked."""
    queries.lock_payments(session, payment.booking_id)
    if not _as_asked(session, payment, fact):
        return False
    payment.object_id = fact.object_id
    payment.customer_id = fact.customer_id or payment.customer_id
    payment.method_id = fact.method_id or payment.method_id
    payment.charge_id = fact.charge_id or payment.charge_id
    payment.capture_before = fact.capture_before or payment.capture_before
    booking = get_booking(session, payment.booking_id)
    if RANK[fact.state] > RANK[payment.state] and payment.state not in ENDED:
        payment.authorised_minor = max(payment.authorised_minor, fact.authorised_minor)
        payment.captured_minor = fact.captured_minor
        payment.state = fact.state
        session.flush()
        if fact.state is PaymentState.CAPTURED:
            _post_capture(session, payment, booking, now)
        elif (accepted := queries.accepted_statement(session, booking.id)) and not is_rest(session, payment):
            collect(session, statement=accepted, now=now)  # the hold came after it, or ended before its capture got there
        elif booking.state in GIVEN_UP:
            release_all(session, booking=booking, now=now)  # held on a page while the booking ended
        elif payment.authorised_minor and fact.state is PaymentState.RELEASED and not _asked(session, payment, Operation.RELEASE):
            hold_refused(session, payment=payment, now=now)  # banks let go of what they hold as they like
    _post_fee(session, payment, fact, booking, now)
    apply_refunds(session, payment=payment, fact=fact, booking=booking, now=now)
    settle_if_paid(session, booking=booking, now=now)
    return True


def _as_asked(session: Session, payment: Payment, fact: PaymentFact) -> bool:
    """Whether a captured amount is exactly the one that was asked for."""
    if fact.state is not PaymentState.CAPTURED or payment.state in ENDED:
        return True
    ways = (Operation.CAPTURE, Operation.CHARGE, Operation.PAGE)
    asked = next((call for way in ways if (call := queries.find_call(session, payment.id, way))), None)
    if asked is not None and asked.parameters["amount"] == fact.captured_minor:
        return True
    if asked is not None:
        asked.state, asked.last_error, asked.lease_until = CallState.MISMATCH, "amount_mismatch", None
        session.flush()
    return False


def _post_fee(session: Session, payment: Payment, fact: PaymentFact, booking: Booking, now: datetime) -> None:
    """The provider may tell what it keeps long after it has taken the money."""
    if payment.state is PaymentState.CAPTURED and fact.fee_minor and not payment.fee_minor:
        payment.fee_minor = fact.fee_minor
        fee = ledger.psp_fee(Money(fact.fee_minor, payment.currency))
        post(session, fee, source_type="payment", source_id=payment.id, booking=booking, now=now)


def _post_capture(session: Session, payment: Payment, booking: Booking, now: datetime) -> None:
    amount = Money(payment.captured_minor, payment.currency)
    entry = ledger.prepay_captured(amount) if payment.prepaid else ledger.payment_captured(amount)
    post(session, entry, source_type="payment", source_id=payment.id, booking=booking, now=now)
    if not payment.prepaid:
        given_back = Money(give_back(session, booking=booking, now=now), payment.currency)
        queue_transfer(session, payment, amount - given_back, now)
    elif statement := queries.accepted_statement(session, booking.id):
        collect(session, statement=statement, now=now)
    elif booking.state in GIVEN_UP:
        release_all(session, booking=booking, now=now)


def apply_transfer(session: Session, *, payment: Payment, amount_minor: int, now: datetime) -> None:
    """The institution's share went out."""
    booking = get_booking(session, payment.booking_id)
    entry = ledger.transfer_out(Money(amount_minor, payment.currency))
    post(session, entry, source_type="payment", source_id=payment.id, booking=booking, now=now)
    payment.transferred_minor = amount_minor
    session.flush()
    settle_if_paid(session, booking=booking, now=now)


def settle_if_paid(session: Session, *, booking: Booking, now: datetime) -> None:
    """Accepted statements are settled once the firm owes nothing and has no page open to pay on, and nothing is on its way back
    to it or came back from it."""
    session.flush()
    if any(row.state is PaymentState.WANTED and is_rest(session, row) for row in queries.payments_of(session, booking.id)):
        return
    if any(queries.balance_of(session, account, booking_id=booking.id) for account in (Account.AR, Account.RIT, Account.SUS)):
        return
    for statement in queries.statements_being_paid(session, booking.id):
        statement.state, statement.settled_at = StatementState.SETTLED, now
    session.flush()
