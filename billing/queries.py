"""Reads of policies, quotes, statements, the journal, payments and calls."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from sqlalchemy import and_, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from billing import policy, pricing
from billing.corrections.tables import PaidBack
from billing.ledger import Account, Entry, EntryKind
from billing.payments.tables import Page
from billing.policy import Policy
from billing.settlement import Funding
from billing.tables import (
    BankReceipt,
    BookingQuote,
    CallState,
    JournalEntry,
    JournalLeg,
    Operation,
    Payment,
    PaymentState,
    PayoutAccount,
    PolicyVersion,
    ProviderCall,
    Statement,
    StatementState,
)
from booking.states import BookingState
from booking.tables import Booking
from devices.tables import ConfirmedUse
from marketplace.money import Money
from marketplace.permissions import Actor
from marketplace.refusals import NotFound
from marketplace.roles import Role

LOST = frozenset({BookingState.REFUSED, BookingState.EXPIRED})
PAYING = (StatementState.ACCEPTED, StatementState.SETTLED)


def policy_of(session: Session, resource_id: str) -> Policy:
    """The newest policy of a resource; the default where none was set."""
    row = find_policy_version(session, resource_id)
    return policy.parse(row.document) if row else policy.DEFAULT


def find_policy_version(session: Session, resource_id: str) -> PolicyVersion | None:
    newest = select(PolicyVersion).where(PolicyVersion.resource_id == resource_id).order_by(PolicyVersion.number.desc())
    return session.scalars(newest.limit(1)).one_or_none()


def find_quote(session: Session, booking_id: str) -> BookingQuote | None:
    """The latest price of a booking with its policy snapshot."""
    newest = select(BookingQuote).where(BookingQuote.booking_id == booking_id).order_by(BookingQuote.number.desc())
    return session.scalars(newest.limit(1)).one_or_none()


def quote_of_booking(session: Session, booking_id: str) -> BookingQuote:
    """Raises: NotFound."""
    if row := find_quote(session, booking_id):
        return row
    raise NotFound(kind="quote")


def fee_of_quote(quote: BookingQuote, cancelled_at: datetime) -> Money:
    """What giving up its time costs then by its tiers alone."""
    quoted, terms = Money(quote.quote_minor, quote.currency), policy.parse(quote.policy)
    return pricing.cancellation_fee(quoted, quote.slot, terms, cancelled_at=cancelled_at, zone=ZoneInfo(quote.timezone))


def given_up(session: Session, booking_id: str) -> BookingQuote | None:
    """The time whose late giving up by its customer made what is owed now; None where nothing is."""
    mine = select(BookingQuote).where(BookingQuote.booking_id == booking_id).order_by(BookingQuote.number)
    quotes = session.scalars(mine).all()
    owed = quotes[-1].owed_minor if quotes else 0
    return next((before for before, moved in pairwise(quotes) if owed and moved.owed_minor == owed), None)


def charged_for_giving_up(session: Session, booking_ids: Collection[str]) -> dict[str, Money]:
    """Of requests that came to nothing, what was charged for a time given up late for them; others are left out."""
    billed = exists().where(Statement.booking_id == BookingQuote.booking_id)
    ended = exists().where(Booking.id == BookingQuote.booking_id, Booking.state.in_(LOST))
    rows = select(BookingQuote).where(BookingQuote.booking_id.in_(booking_ids), BookingQuote.owed_minor > 0, billed, ended)
    return {row.booking_id: Money(row.owed_minor, row.currency) for row in session.scalars(rows.order_by(BookingQuote.number))}


def quote_to_settle(session: Session, booking: Booking) -> BookingQuote:
    """By which its end is charged: of the time given up where a request for another came to nothing, else the newest.

    Raises: NotFound.
    """
    left = given_up(session, booking.id) if booking.state in LOST else None
    return left or quote_of_booking(session, booking.id)


def free_until(session: Session, booking: Booking) -> datetime | None:
    """The last instant at which the customer cancels for nothing, by the policy of acceptance; None where it always costs.

    Raises: NotFound.
    """
    quote = quote_of_booking(session, booking.id)
    if booking.decided_at is None:
        return booking.starts_at
    if quote.owed_minor:
        return None
    return policy.parse(quote.policy).free_until(quote.starts_at, ZoneInfo(quote.timezone))


def quotes_of_bookings(session: Session, booking_ids: Collection[str]) -> dict[str, BookingQuote]:
    rows = session.scalars(select(BookingQuote).where(BookingQuote.booking_id.in_(booking_ids)).order_by(BookingQuote.number))
    return {row.booking_id: row for row in rows}


def statement_of_booking(session: Session, booking_id: str) -> Statement | None:
    """The newest version."""
    newest = select(Statement).where(Statement.booking_id == booking_id).order_by(Statement.number.desc())
    return session.scalars(newest.limit(1)).one_or_none()


def statements_of_booking(session: Session, booking_id: str) -> Sequence[Statement]:
    """All versions, oldest first."""
    return session.scalars(select(Statement).where(Statement.booking_id == booking_id).order_by(Statement.number)).all()


def statements_of_bookings(session: Session, booking_ids: Collection[str]) -> dict[str, Statement]:
    """The newest version of each."""
    rows = session.scalars(select(Statement).where(Statement.booking_id.in_(booking_ids)).order_by(Statement.number))
    return {row.booking_id: row for row in rows}


def statements_being_paid(session: Session, booking_id: str) -> Sequence[Statement]:
    """Accepted versions that are not settled yet."""
    found = select(Statement).where(Statement.booking_id == booking_id, Statement.state == StatementState.ACCEPTED)
    return session.scalars(found.order_by(Statement.number)).all()


def accepted_statement(session: Session, booking_id: str) -> Statement | None:
    """The newest version that was accepted, whether or not a later one is open."""
    found = select(Statement).where(Statement.booking_id == booking_id, Statement.state.in_(PAYING))
    return session.scalars(found.order_by(Statement.number.desc()).limit(1)).one_or_none()


def get_statement(session: Session, statement_id: str) -> Statement:
    """Raises: NotFound."""
    if row := session.get(Statement, statement_id):
        return row
    raise NotFound(kind="statement")


def lock_statement(session: Session, statement_id: str) -> Statement:
    """The same, as it is now and locked until the transaction ends. Raises: NotFound."""
    found = select(Statement).where(Statement.id == statement_id).with_for_update().execution_options(populate_existing=True)
    if row := session.scalars(found).one_or_none():
        return row
    raise NotFound(kind="statement")


def lock_newest(session: Session, booking_id: str) -> Statement | None:
    """The newest version, as it is now and locked until the transaction ends."""
    newest = statement_of_booking(session, booking_id)
    return lock_statement(session, newest.id) if newest else None


def lock_unanswered(session: Session, booking_ids: Collection[str]) -> None:
    """Lock the versions that wait for an answer, in one order."""
    waiting = select(Statement.id).where(
        Statement.booking_id.in_(booking_ids), Statement.state.in_([StatementState.OPEN, StatementState.DISPUTED])
    )
    session.scalars(waiting.order_by(Statement.id).with_for_update()).all()


def statements_for(session: Session, actor: Actor, *, after: str | None = None, limit: int = 50) -> Sequence[Statement]:
    """Newest versions that concern the actor: their organisations' and their institutions'; `after` is the last id seen."""
    found = select(Statement).where(Statement.state != StatementState.SUPERSEDED)
    if not actor.is_operator:
        staff = actor.institutions(Role.MANAGER, Role.FINANCE)
        found = found.where(or_(Statement.organisation_id.in_(actor.organisations), Statement.institution_id.in_(staff)))
    if after:
        found = found.where(Statement.id < after)
    return session.scalars(found.order_by(Statement.id.desc()).limit(limit)).all()


def uses_to_bill(session: Session, *, limit: int = 200) -> Sequence[ConfirmedUse]:
    """The latest confirmed use of each booking that no statement was drafted from yet."""
    later = aliased(ConfirmedUse)
    newest = ~exists().where(later.booking_id == ConfirmedUse.booking_id, later.number > ConfirmedUse.number)
    billed = exists().where(Statement.use_id == ConfirmedUse.id)
    quoted = exists().where(BookingQuote.booking_id == ConfirmedUse.booking_id)
    found = select(ConfirmedUse).where(newest, ~billed, quoted).order_by(ConfirmedUse.created_at).limit(limit)
    return session.scalars(found).all()


def accepted_before(session: Session, booking_ids: Collection[str]) -> dict[str, str]:
    """Those of the bookings of which a version was accepted, with their resources."""
    rows = select(Statement.booking_id, Booking.resource_id).join(Booking, Booking.id == Statement.booking_id)
    found = session.execute(rows.where(Statement.booking_id.in_(booking_ids), Statement.state.in_(PAYING)).distinct())
    return {row[0]: row[1] for row in found}


def places_of_silent(session: Session, *, now: datetime, limit: int = 200) -> dict[str, str]:
    """Open statements that silence accepts by `now`, the oldest first, with the resources of their bookings."""
    rows = select(Statement.id, Booking.resource_id).join(Booking, Booking.id == Statement.booking_id)
    silent = rows.where(Statement.state == StatementState.OPEN, Statement.due_at <= now)
    return {row[0]: row[1] for row in session.execute(silent.order_by(Statement.due_at).limit(limit))}


def lock_silent(session: Session, *, now: datetime, limit: int = 200) -> Sequence[Statement]:
    """Open statements that silence accepts by `now`, locked: one that is answered meanwhile is left out."""
    found = select(Statement).where(Statement.state == StatementState.OPEN, Statement.due_at <= now)
    oldest = found.order_by(Statement.due_at).limit(limit).with_for_update()
    return session.scalars(oldest.execution_options(populate_existing=True)).all()


def accepted_tax(session: Session, booking_id: str) -> int:
    """What of the charge of all accepted versions is tax, minor units."""
    found = select(func.coalesce(func.sum(Statement.tax_minor), 0))
    return int(session.scalar(found.where(Statement.booking_id == booking_id, Statement.state.in_(PAYING))) or 0)


def accepted_sums(session: Session, booking_id: str) -> tuple[int, int]:
    """Charge and platform fee of all accepted versions, minor units."""
    sums = select(func.coalesce(func.sum(Statement.charge_minor), 0), func.coalesce(func.sum(Statement.fee_minor), 0))
    charge, fee = session.execute(sums.where(Statement.booking_id == booking_id, Statement.state.in_(PAYING))).one()
    return int(charge), int(fee)


def cash_sums(session: Session, booking_id: str) -> tuple[int, int]:
    """The same without what programmes pay: the firm's part, and what of that does not go to the institution."""
    charge, fee = accepted_sums(session, booking_id)
    sums = select(func.coalesce(func.sum(Statement.programme_minor), 0), func.coalesce(func.sum(Statement.conditional_minor), 0))
    paid, waiting = session.execute(sums.where(Statement.booking_id == booking_id, Statement.state.in_(PAYING))).one()
    return charge - int(paid), fee - int(paid) + int(waiting)


def taken_by_provider(session: Session, booking_id: str) -> int:
    """What the provider has taken of a booking's debt, by capture or prepayment, minor units."""
    found = select(func.coalesce(func.sum(JournalLeg.amount_minor), 0)).join(JournalEntry, JournalEntry.id == JournalLeg.entry_id)
    kinds = JournalEntry.kind.in_([EntryKind.PAYMENT_CAPTURED, EntryKind.PREPAY_APPLIED])
    return -int(session.scalar(found.where(JournalEntry.booking_id == booking_id, JournalLeg.account == Account.AR, kinds)) or 0)


def asked_to_transfer(session: Session, booking_id: str) -> int:
    """What was asked to go out to the institution for a booking, minor units."""
    calls = [call for call in calls_of(session, booking_id) if call.operation is Operation.TRANSFER]
    return sum(int(call.parameters["amount"]) for call in calls if call.state is not CallState.FAILED)


def paid_back(session: Session, booking_id: str) -> int:
    """What the institution has paid back to the firm by bank for a booking, minor units."""
    found = select(func.coalesce(func.sum(PaidBack.amount_minor), 0)).where(PaidBack.booking_id == booking_id)
    return int(session.scalar(found) or 0)


def journal_of_booking(session: Session, booking_id: str) -> list[Entry]:
    """The booking's entries as values, in the order they were posted."""
    entries = session.scalars(
        select(JournalEntry).where(JournalEntry.booking_id == booking_id).order_by(JournalEntry.created_at, JournalEntry.id)
    ).all()
    legs: dict[str, list[tuple[Account, int]]] = {entry.id: [] for entry in entries}
    for leg in session.scalars(select(JournalLeg).where(JournalLeg.entry_id.in_(legs)).order_by(JournalLeg.account)):
        legs[leg.entry_id].append((leg.account, leg.amount_minor))
    return [Entry(entry.kind, entry.currency, tuple(legs[entry.id])) for entry in entries]


def balance_of(session: Session, account: Account, *, booking_id: str) -> int:
    """One account of one booking, minor units, debit positive."""
    found = select(func.coalesce(func.sum(JournalLeg.amount_minor), 0)).join(JournalEntry, JournalEntry.id == JournalLeg.entry_id)
    return int(session.scalar(found.where(JournalEntry.booking_id == booking_id, JournalLeg.account == account)) or 0)


def billed_of_bookings(session: Session, booking_ids: Collection[str]) -> dict[str, int]:
    """What the firm pays for each booking by all of its statements that count or wait for an answer, minor units."""
    sums = select(Statement.booking_id, func.sum(Statement.firm_minor)).where(Statement.booking_id.in_(booking_ids))
    rows = session.execute(sums.where(Statement.state != StatementState.SUPERSEDED).group_by(Statement.booking_id))
    return {booking_id: int(charge) for booking_id, charge in rows}


def received_for(session: Session, statement_id: str) -> int:
    """What came by bank for a statement, minor units."""
    found = select(func.coalesce(func.sum(BankReceipt.amount_minor), 0)).where(BankReceipt.statement_id == statement_id)
    return int(session.scalar(found) or 0)


def receipts_of(session: Session, statement_id: str) -> Sequence[BankReceipt]:
    return session.scalars(
        select(BankReceipt).where(BankReceipt.statement_id == statement_id).order_by(BankReceipt.received_on)
    ).all()


def payments_of(session: Session, booking_id: str) -> Sequence[Payment]:
    return session.scalars(select(Payment).where(Payment.booking_id == booking_id).order_by(Payment.number)).all()


def with_payments(session: Session, booking_ids: Collection[str]) -> set[str]:
    """Those of the bookings for which money was asked or taken through the provider."""
    return set(session.scalars(select(Payment.booking_id).where(Payment.booking_id.in_(booking_ids)).distinct()))


def lock_payments(session: Session, booking_id: str) -> Sequence[Payment]:
    """The same, as they are now and locked: a capture that is recorded and a statement that is accepted wait for each other."""
    session.flush()
    found = select(Payment).where(Payment.booking_id == booking_id).order_by(Payment.number).with_for_update()
    return session.scalars(found.execution_options(populate_existing=True)).all()


def find_payment(session: Session, object_id: str) -> Payment | None:
    return session.scalars(select(Payment).where(Payment.object_id == object_id)).one_or_none()


def calls_of(session: Session, booking_id: str) -> Sequence[ProviderCall]:
    return session.scalars(select(ProviderCall).where(ProviderCall.booking_id == booking_id).order_by(ProviderCall.seq)).all()


def find_call_by_key(session: Session, key: str | None) -> ProviderCall | None:
    return session.scalars(select(ProviderCall).where(ProviderCall.key == key)).one_or_none() if key else None


def find_call(session: Session, payment_id: str, operation: Operation) -> ProviderCall | None:
    """The latest call of that operation on a payment."""
    found = select(ProviderCall).where(ProviderCall.payment_id == payment_id, ProviderCall.operation == operation)
    return session.scalars(found.order_by(ProviderCall.seq.desc()).limit(1)).one_or_none()


def holds_secured(session: Session, *, limit: int = 200) -> list[str]:
    """Bookings that are still held although their money is held or prepaid, their card kept, or it is too little for either."""
    mine, kept = Payment.booking_id == Booking.id, exists().where(Page.payment_id == Payment.id, Page.kept_at.is_not(None))
    prepaid = and_(Payment.state == PaymentState.CAPTURED, Payment.prepaid)
    later = and_(Payment.state == PaymentState.WANTED, kept)
    secured = exists().where(mine, or_(Payment.state == PaymentState.AUTHORISED, prepaid, later))
    online = exists().where(BookingQuote.booking_id == Booking.id, BookingQuote.funding != Funding.BANK)
    unpaid = ~exists().where(Payment.booking_id == Booking.id)
    found = select(Booking.id).where(Booking.state == BookingState.HELD, or_(secured, and_(online, unpaid)))
    return list(session.scalars(found.limit(limit)))


def holds_ending(session: Session, *, now: datetime, guard: timedelta, limit: int = 200) -> Sequence[Payment]:
    """Holds that end within `guard` and that nothing has been asked to capture or release."""
    asked = exists().where(
        ProviderCall.payment_id == Payment.id, ProviderCall.operation.in_([Operation.CAPTURE, Operation.RELEASE])
    )
    found = select(Payment).where(Payment.state == PaymentState.AUTHORISED, Payment.capture_before <= now + guard, ~asked)
    return session.scalars(found.order_by(Payment.capture_before).limit(limit)).all()


def find_payout_account(session: Session, institution_id: str) -> PayoutAccount | None:
    return session.get(PayoutAccount, institution_id)
