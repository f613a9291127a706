"""Payments: intentions become calls in the outbox, the provider's facts move a payment forward and are posted once."""

from datetime import datetime

from sqlalchemy.orm import Session

from billing import ledger, queries, settlement
from billing.journal.actions import post
from billing.ledger import Account
from billing.payments.calls import amount_of, queue_call
from billing.payments.payouts import REFUSED_AGAIN, queue_transfer, transfers_asked
from billing.providers.base import PaymentFact
from billing.tables import CallState, Operation, Payment, PaymentState, Statement, StatementState
from billing.telling import tell_refused
from booking.queries import get_booking
from booking.states import BookingState
from booking.tables import Booking
from marketplace.ids import new_id
from marketplace.money import Money

MOST_CHARGES = 3
"""So often a rest is asked for off-session; then it is for people to settle."""
RANK = {state: rank for rank, state in enumerate(PaymentState)}
"""A payment only moves to a higher one."""

ENDED = frozenset({PaymentState.CAPTURED, PaymentState.RELEASED, PaymentState.FAILED})
TAKING = frozenset({Operation.CAPTURE, Operation.CHARGE})
GIVEN_UP = frozenset({BookingState.CANCELLED, BookingState.REFUSED, BookingState.EXPIRED})


def want_hold(session: Session, *, booking: Booking, quoted: Money, method: str, now: datetime) -> Payment:
    """Ask for the quote and a fifth to be held on a card."""
    amount = settlement.hold_for(quoted)
    payment = _new_payment(session, booking, amount, now)
    payment.method_id = method
    parameters = {**amount_of(amount), "payer": booking.organisation_id or booking.person_id}
    queue_call(session, payment=payment, operation=Operation.HOLD, parameters=parameters, now=now)
    return payment


def _new_payment(session: Session, booking: Booking, amount: Money, now: datetime) -> Payment:
    payment = Payment(
        id=new_id("pay"),
        booking_id=booking.id,
        number=len(queries.payments_of(session, booking.id)) + 1,
        state=PaymentState.WANTED,
        currency=amount.currency,
        wanted_minor=amount.minor,
        authorised_minor=0,
        captured_minor=0,
        refunded_minor=0,
        transferred_minor=0,
        fee_minor=0,
        prepaid=False,
        created_at=now,
    )
    session.add(payment)
    session.flush()
    return payment


def release_all(session: Session, *, booking: Booking, now: datetime) -> None:
    """Let go of everything that is held or about to be held, and give back what was prepaid."""
    for payment in queries.lock_payments(session, booking.id):
        if payment.prepaid and payment.state is PaymentState.CAPTURED:
            _apply_prepayment(session, payment, Money(0, payment.currency), booking, now)
        elif payment.state not in ENDED and not _asked(session, payment, Operation.CAPTURE, Operation.RELEASE):
            queue_call(session, payment=payment, operation=Operation.RELEASE, parameters={}, now=now)


def _asked(session: Session, payment: Payment, *operations: Operation) -> bool:
    return any(queries.find_call(session, payment.id, operation) for operation in operations)


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
    if settlement.capturable(owed, owed):
        _charge_rest(session, booking, owed, now)
    if statement.firm_minor < 0:
        give_back(session, booking=booking, now=now)
    settle_if_paid(session, booking=booking, now=now)


def still_owed(session: Session, *, booking_id: str, currency: str) -> Money:
    """What the firm owes for a booking and no capture or charge is under way for; a contradicted one counts as under way."""
    session.flush()
    open_payments = {row.id for row in queries.payments_of(session, booking_id) if row.state not in ENDED}
    asked = [
        call.parameters["amount"]
        for call in queries.calls_of(session, booking_id)
        if call.operation in TAKING and call.state in {CallState.WAITING, CallState.MISMATCH} and call.payment_id in open_payments
    ]
    return Money(queries.balance_of(session, Account.AR, booking_id=booking_id) - sum(asked), currency)


def _take(session: Session, payment: Payment, owed: Money, booking: Booking, now: datetime) -> Money:
    """What of `owed` this payment covers, with the call or the posting that takes it."""
    if payment.prepaid and payment.state is PaymentState.CAPTURED:
        return _apply_prepayment(session, payment, owed, booking, now)
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
        _queue_refund(session, payment, rest, booking, payment.id, now)
    queue_transfer(session, payment, used, now)
    return used


def _queue_refund(session: Session, payment: Payment, amount: Money, booking: Booking, source_id: str, now: datetime) -> None:
    """`total` is what will have been refunded of the payment then: by it a refund whose answer was lost is found again."""
    post(session, ledger.refund_initiated(amount), source_type="payment", source_id=source_id, booking=booking, now=now)
    parameters = {**amount_of(amount), "total": _refunds_asked(session, payment) + amount.minor}
    queue_call(session, payment=payment, operation=Operation.REFUND, parameters=parameters, now=now)


def _refunds_asked(session: Session, payment: Payment) -> int:
    """What was asked to be refunded of a payment, minor units."""
    calls = [one for one in queries.calls_of(session, payment.booking_id) if one.payment_id == payment.id]
    return sum(
        int(one.parameters["amount"]) for one in calls if one.operation is Operation.REFUND and one.state is not CallState.FAILED
    )


def give_back(session: Session, *, booking: Booking, now: datetime) -> int:
    """Refund what a fee credit or a correction has left the firm to get back of its captured payments; how much, minor units.

    What went out to the institution beyond its share is not refunded: that the institution pays back itself.
    """
    if not queries.was_corrected(session, booking.id):
        return 0
    asked, (charge, fee) = 0, queries.cash_sums(session, booking.id)
    out = queries.asked_to_transfer(session, booking.id) - queries.paid_back(session, booking.id)
    theirs = max(0, out - (charge - fee))
    for payment in queries.lock_payments(session, booking.id):
        overpaid, refunds = -queries.balance_of(session, Account.AR, booking_id=booking.id), _refunds_asked(session, payment)
        left = payment.captured_minor - refunds - transfers_asked(session, payment)
        amount = Money(min(overpaid - theirs, left), payment.currency)
        if payment.state is PaymentState.CAPTURED and amount.minor > 0:
            source = f"{payment.id}:back:{refunds}"
            taken_back = ledger.prepay_applied(-amount)
            post(session, taken_back, source_type="payment", source_id=source, booking=booking, now=now)
            _queue_refund(session, payment, amount, booking, source, now)
            asked += amount.minor
    return asked


def pay_out(session: Session, *, booking: Booking, now: datetime) -> None:
    """Send the institution its share of what a decided cancellation leaves of its captured payments."""
    for payment in queries.lock_payments(session, booking.id):
        if payment.state is PaymentState.CAPTURED:
            left = payment.captured_minor - _refunds_asked(session, payment)
            queue_transfer(session, payment, Money(left, payment.currency), now)


def _charge_rest(session: Session, booking: Booking, owed: Money, now: datetime) -> None:
    """A second charge off-session, with the card that was held."""
    earlier = next((p for p in queries.payments_of(session, booking.id) if p.method_id and p.customer_id), None)
    if earlier is None:
        return
    payment = _new_payment(session, booking, owed, now)
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
        elif accepted := queries.accepted_statement(session, booking.id):
            collect(session, statement=accepted, now=now)  # the hold came after it, or ended before its capture got there
    _post_fee(session, payment, fact, booking, now)
    if fact.refunded_minor > payment.refunded_minor:
        entry = ledger.refund_settled(Money(fact.refunded_minor - payment.refunded_minor, payment.currency))
        source = f"{payment.id}:{payment.refunded_minor}" if payment.refunded_minor else payment.id
        post(session, entry, source_type="payment", source_id=source, booking=booking, now=now)
        payment.refunded_minor = fact.refunded_minor
    session.flush()
    settle_if_paid(session, booking=booking, now=now)
    return True


def _as_asked(session: Session, payment: Payment, fact: PaymentFact) -> bool:
    """Whether a captured amount is exactly the one that was asked for."""
    if fact.state is not PaymentState.CAPTURED or payment.state in ENDED:
        return True
    asked = queries.find_call(session, payment.id, Operation.CAPTURE) or queries.find_call(session, payment.id, Operation.CHARGE)
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
    """Accepted statements are settled once nothing is owed by the firm and nothing is on its way back."""
    session.flush()
    open_accounts = [queries.balance_of(session, account, booking_id=booking.id) for account in (Account.AR, Account.RIT)]
    if any(open_accounts):
        return
    for statement in queries.statements_being_paid(session, booking.id):
        statement.state, statement.settled_at = StatementState.SETTLED, now
    session.flush()
