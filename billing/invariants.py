"""What must always hold of the money, worked out again from what is stored. Used by `pilotbench audit` and after tests."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Select, and_, exists, func, or_, select
from sqlalchemy.orm import Session

from billing import recount
from billing.corrections.tables import PaidBack
from billing.ledger import Account, EntryKind
from billing.payments.actions import GIVEN_UP
from billing.programmes import queries as programmes
from billing.programmes.invariants import of_programmes
from billing.programmes.tables import ProgrammeShare
from billing.reconciling import queries as reconciling
from billing.resale.tables import FeeCredit
from billing.tables import (
    BankReceipt,
    BookingQuote,
    CallState,
    JournalEntry,
    JournalLeg,
    Operation,
    Payment,
    PaymentState,
    ProviderCall,
    Statement,
    StatementState,
)
from booking.tables import Booking
from devices.discrepancies.tables import Cause, SealedStretch
from marketplace.money import STEPS

DIFFERING = "the_ledger_says_what_the_provider_says"


def violations(session: Session) -> list[str]:
    """Each broken invariant and what breaks it; all that can be told without asking the provider."""
    return [f"{name}: {at}" for name, found in checked(session).items() for at in found]


def checked(session: Session) -> dict[str, list[str]]:
    """By the name of each invariant what breaks it."""
    checks: Mapping[str, Select[Any]] = {
        "entries_sum_to_zero": _unbalanced(),
        "legs_belong_to_entries": _without_entry(),
        "a_settled_booking_is_owed_nothing": _settled_but_open(),
        "captured_at_most_authorised": select(Payment.id).where(Payment.captured_minor > Payment.authorised_minor),
        "refunded_at_most_captured": select(Payment.id).where(Payment.refunded_minor > Payment.captured_minor),
        "transfers_at_most_captured_less_refunds": _too_much_out(),
        "no_transfer_before_the_statement_closes": _transferred_early(),
        "one_capture_of_a_payment": _captured_twice(),
        "no_charge_without_booking_quote": _unquoted(),
        "captures_are_posted": _not_posted(),
        "transfers_are_posted": _transfer_not_posted(),
        "what_an_accepted_statement_rests_on_is_sealed": _unsealed(),
        "what_was_paid_back_leaves_the_institution_its_share": _share_after_paid_back(),
        "a_fee_is_given_back_by_its_share": _wrong_credits(),
        "a_fee_is_given_back_by_one_statement": _uncredited(),
        "a_fee_waits_for_its_credit_before_it_goes_out": _out_before_credit(),
        "no_call_contradicts_the_provider": select(ProviderCall.key).where(ProviderCall.state == CallState.MISMATCH),
    }
    return {
        **{name: [str(at) for at in session.scalars(found)] for name, found in {**checks, **of_programmes()}.items()},
        "the_journal_says_what_its_causes_say": _recounted(session),
        "a_closed_day_stays_as_it_was": reconciling.reopened(session),
        DIFFERING: [
            f"{row.kind} {row.subject}: {row.theirs_minor} against {row.ours_minor} {row.currency}"
            for row in reconciling.open_findings(session)
        ],
    }


def provider_violations(session: Session, balances: Mapping[str, int]) -> list[str]:
    """PSP must equal the provider's balance transactions, currency by currency."""
    found = session.execute(
        select(JournalEntry.currency, func.sum(JournalLeg.amount_minor))
        .join(JournalLeg, JournalLeg.entry_id == JournalEntry.id)
        .where(JournalLeg.account == Account.PSP)
        .group_by(JournalEntry.currency)
    )
    ours: dict[str, int] = {row[0]: int(row[1]) for row in found}
    differing = [currency for currency in sorted({*ours, *balances}) if ours.get(currency, 0) != balances.get(currency, 0)]
    return [f"psp_equals_the_provider: {c} {ours.get(c, 0)} against {balances.get(c, 0)}" for c in differing]


def _unbalanced() -> Select[Any]:
    """Also one that has other legs than it says."""
    off = func.coalesce(func.sum(JournalLeg.amount_minor), 1) != 0
    return (
        select(JournalEntry.id)
        .outerjoin(JournalLeg, JournalLeg.entry_id == JournalEntry.id)
        .group_by(JournalEntry.id, JournalEntry.legs)
        .having(or_(off, func.count(JournalLeg.account) != JournalEntry.legs))
    )


def _wrong_credits() -> Select[Any]:
    """Off by more than the rounding of one step of the currency, or given back for a booking that was not given up."""
    off = func.abs(FeeCredit.credit_minor * FeeCredit.whole_s - FeeCredit.fee_minor * FeeCredit.resold_s)
    far = off > FeeCredit.whole_s * max(STEPS.values())
    known = select(FeeCredit.booking_id).join(Booking, Booking.id == FeeCredit.booking_id)
    return known.where(far | Booking.state.not_in(GIVEN_UP))


def _uncredited() -> Select[Any]:
    """A credit whose correcting statement is not there, or says another amount."""
    said = exists().where(
        Statement.id == FeeCredit.correction_id,
        Statement.booking_id == FeeCredit.booking_id,
        Statement.charge_minor == -FeeCredit.credit_minor,
        Statement.state.in_([StatementState.ACCEPTED, StatementState.SETTLED]),
    )
    return select(FeeCredit.booking_id).where(
        or_(and_(FeeCredit.credit_minor > 0, ~said), and_(FeeCredit.credit_minor == 0, FeeCredit.correction_id.is_not(None)))
    )


def _out_before_credit() -> Select[Any]:
    return (
        select(Payment.id)
        .join(FeeCredit, FeeCredit.booking_id == Payment.booking_id)
        .where(FeeCredit.decided_at.is_(None), Payment.transferred_minor > 0)
    )


def _unsealed() -> Select[Any]:
    sealed = exists().where(SealedStretch.cause_id == Statement.id, SealedStretch.cause == Cause.STATEMENT)
    accepted = Statement.state.in_([StatementState.ACCEPTED, StatementState.SETTLED])
    return select(Statement.id).where(accepted, Statement.use_id.is_not(None), ~sealed)


def _without_entry() -> Select[Any]:
    return select(JournalLeg.entry_id).where(~exists().where(JournalEntry.id == JournalLeg.entry_id)).distinct()


def _recounted(session: Session) -> list[str]:
    """The journal against the statements, payments and receipts that caused it."""
    accepted = session.scalars(select(Statement).where(Statement.state.in_([StatementState.ACCEPTED, StatementState.SETTLED])))
    received = session.execute(select(BankReceipt, Statement.funding).join(Statement, Statement.id == BankReceipt.statement_id))
    legs: dict[str, dict[Account, int]] = defaultdict(dict)
    for leg in session.scalars(select(JournalLeg)):
        legs[leg.entry_id][leg.account] = leg.amount_minor
    posted = [((e.kind, e.source_type, e.source_id), e.currency, legs[e.id]) for e in session.scalars(select(JournalEntry))]
    receipts = ((row, funding) for row, funding in received)
    returned = session.scalars(select(FeeCredit)), session.scalars(select(PaidBack))
    wanted = recount.expected(accepted, session.scalars(select(Payment)), receipts, *returned, programmes.paid_shares(session))
    return recount.differences(wanted, recount.joined(posted))


def _settled_but_open() -> Select[Any]:
    """AR, RIT and PREP of a booking of which every statement that counts is settled."""
    waiting = exists().where(
        Statement.booking_id == JournalEntry.booking_id,
        Statement.state.not_in([StatementState.SETTLED, StatementState.SUPERSEDED]),
    )
    settled = exists().where(Statement.booking_id == JournalEntry.booking_id, Statement.state == StatementState.SETTLED)
    return (
        select(JournalEntry.booking_id)
        .join(JournalLeg, JournalLeg.entry_id == JournalEntry.id)
        .where(JournalLeg.account.in_([Account.AR, Account.RIT, Account.PREP]), settled, ~waiting)
        .group_by(JournalEntry.booking_id, JournalLeg.account)
        .having(func.sum(JournalLeg.amount_minor) != 0)
    )


def _share_after_paid_back() -> Select[Any]:
    """IP and TAX of a booking of which something was paid back, all is settled, all calls are done and nothing came by bank.

    What programmes pay goes out by bank too. Off by more than the rounding of one step of the currency.
    """
    of_it = Statement.booking_id == JournalEntry.booking_id
    waiting = exists().where(of_it, Statement.state.not_in([StatementState.SETTLED, StatementState.SUPERSEDED]))
    under_way = exists().where(ProviderCall.booking_id == JournalEntry.booking_id, ProviderCall.state != CallState.DONE)
    by_bank = exists().where(BankReceipt.statement_id == Statement.id, of_it)
    funded = exists().where(ProgrammeShare.booking_id == JournalEntry.booking_id)
    returned = exists().where(PaidBack.booking_id == JournalEntry.booking_id)
    return (
        select(JournalEntry.booking_id)
        .join(JournalLeg, JournalLeg.entry_id == JournalEntry.id)
        .where(JournalLeg.account.in_([Account.IP, Account.TAX]), returned, ~waiting, ~under_way, ~by_bank, ~funded)
        .group_by(JournalEntry.booking_id)
        .having(func.abs(func.sum(JournalLeg.amount_minor)) >= max(STEPS.values()))
    )


def _too_much_out() -> Select[Any]:
    return select(Payment.id).where(Payment.transferred_minor > Payment.captured_minor - Payment.refunded_minor)


def _transferred_early() -> Select[Any]:
    closed = exists().where(
        Statement.booking_id == Payment.booking_id, Statement.state.in_([StatementState.ACCEPTED, StatementState.SETTLED])
    )
    return select(Payment.id).where(Payment.transferred_minor > 0, ~closed)


def _captured_twice() -> Select[Any]:
    return (
        select(ProviderCall.payment_id)
        .where(ProviderCall.operation == Operation.CAPTURE, ProviderCall.state == CallState.DONE)
        .group_by(ProviderCall.payment_id)
        .having(func.count() > 1)
    )


def _unquoted() -> Select[Any]:
    return select(Payment.id).where(~exists().where(BookingQuote.booking_id == Payment.booking_id))


def _posted(*kinds: EntryKind) -> Any:
    return exists().where(
        and_(JournalEntry.source_type == "payment", JournalEntry.source_id == Payment.id, JournalEntry.kind.in_(kinds))
    )


def _not_posted() -> Select[Any]:
    """A captured payment without its entry, or an entry without a captured payment."""
    posted = _posted(EntryKind.PAYMENT_CAPTURED, EntryKind.PREPAY_CAPTURED)
    captured = Payment.state == PaymentState.CAPTURED
    return select(Payment.id).where(or_(and_(captured, ~posted), and_(~captured, posted)))


def _transfer_not_posted() -> Select[Any]:
    posted = _posted(EntryKind.TRANSFER_OUT)
    return select(Payment.id).where(
        or_(and_(Payment.transferred_minor > 0, ~posted), and_(Payment.transferred_minor == 0, posted))
    )
