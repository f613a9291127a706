"""What the journal must say, worked out again from the statements, payments and bank receipts that caused its entries."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from billing import ledger
from billing.corrections.tables import PaidBack
from billing.ledger import Account, Entry, EntryKind
from billing.programmes.tables import ProgrammeShare
from billing.resale.tables import FeeCredit
from billing.settlement import Funding
from billing.tables import BankReceipt, Payment, PaymentState, Statement
from marketplace.money import Money

Cause = tuple[EntryKind, str, str]
"""Kind, kind of source, id of the source: what makes an entry the only one."""

Posted = tuple[Cause, str, Mapping[Account, int]]
"""Of an entry in the journal: its cause, its currency, its legs."""

INSIDE = frozenset({EntryKind.PREPAY_APPLIED, EntryKind.REFUND_INITIATED, EntryKind.REFUND_FAILED, EntryKind.REFUND_REPEATED})
"""Entries whose amount is the journal's own: they share a prepayment out or lead a refund around, and their accounts must end at
nothing."""


def of_statement(row: Statement) -> Entry:
    """What accepting a statement posts."""
    charge, fee, tax = (Money(minor, row.currency) for minor in (row.charge_minor, row.fee_minor, row.tax_minor))
    paid_for, waiting = Money(row.programme_minor, row.currency), Money(row.conditional_minor, row.currency)
    if row.funding is Funding.BANK:
        return ledger.direct_charge(charge, fee, tax, paid_for)
    return ledger.usage_charge(charge, fee, paid_for, tax, waiting)


def of_share(row: ProgrammeShare, statement: Statement) -> Iterator[Entry]:
    """What a programme's payment of a share has posted so far; where the firm pays the institution directly, it does too."""
    amount = Money(row.amount_minor, statement.currency)
    if statement.funding is Funding.BANK:
        yield ledger.voucher_paid_direct(amount)
    else:
        yield ledger.voucher_paid(amount)
        conditional = Money(row.conditional_minor, statement.currency)
        yield ledger.voucher_released(conditional)
        if row.passed_on_at:
            yield ledger.bank_payout(conditional)


def of_payment(row: Payment) -> Iterator[Entry]:
    """What a payment's state has posted so far."""
    captured = Money(row.captured_minor, row.currency)
    if row.state is PaymentState.CAPTURED:
        yield ledger.prepay_captured(captured) if row.prepaid else ledger.payment_captured(captured)
        yield ledger.psp_fee(Money(row.fee_minor, row.currency))
    yield ledger.refund_settled(Money(row.refunded_minor + row.returned_minor, row.currency))
    yield ledger.transfer_out(Money(row.transferred_minor, row.currency))


def of_return(row: FeeCredit) -> Entry:
    """What the institution's own payment back to the firm posts."""
    return ledger.direct_paid(Money(-row.returned_minor, row.currency))


def of_receipt(row: BankReceipt, funding: Funding) -> Entry:
    amount = Money(row.amount_minor, row.currency)
    return ledger.direct_paid(amount) if funding is Funding.BANK else ledger.bank_received(amount)


def of_paid_back(row: PaidBack) -> Entry:
    """What an institution's transfer back to the firm posts."""
    return ledger.direct_paid(Money(-row.amount_minor, row.currency))


def expected(
    statements: Iterable[Statement],
    payments: Iterable[Payment],
    receipts: Iterable[tuple[BankReceipt, Funding]],
    credits_: Iterable[FeeCredit],
    paid_back: Iterable[PaidBack] = (),
    shares: Iterable[tuple[ProgrammeShare, Statement]] = (),
) -> dict[Cause, Entry]:
    """By cause, every entry that these rows call for; `statements` are the accepted ones."""
    found = [("statement", row.id, of_statement(row)) for row in statements]
    found += [("payment", row.id, entry) for row in payments for entry in of_payment(row)]
    found += [("bank_receipt", row.id, of_receipt(row, funding)) for row, funding in receipts]
    found += [("fee_credit", row.booking_id, of_return(row)) for row in credits_]
    found += [("paid_back", row.id, of_paid_back(row)) for row in paid_back]
    found += [("programme_share", row.id, entry) for row, statement in shares for entry in of_share(row, statement)]
    return {(entry.kind, source, number): entry for source, number, entry in found if entry.legs}


def joined(posted: Sequence[Posted]) -> list[Posted]:
    """The refunds of one payment, which may have been told of one after the other, as the one that they add up to."""
    kept: dict[tuple[Cause, str], dict[Account, int]] = {}
    for (kind, source, number), currency, legs in posted:
        name = number.split(":")[0] if kind is EntryKind.REFUND_SETTLED else number
        sums = kept.setdefault(((kind, source, name), currency), {})
        for account, amount in legs.items():
            sums[account] = sums.get(account, 0) + amount
    return [(cause, currency, legs) for (cause, currency), legs in kept.items()]


def differences(wanted: Mapping[Cause, Entry], posted: Sequence[Posted]) -> list[str]:
    """Entries that are missing, that nothing calls for, or that say something else; `posted` with currency and legs."""
    seen = {cause for cause, _, _ in posted}
    missing = [f"{':'.join(cause)} is missing" for cause in wanted if cause not in seen]
    return missing + [
        f"{':'.join(cause)} {'differs' if cause in wanted else 'has no cause'}"
        for cause, currency, legs in posted
        if cause[0] not in INSIDE and not _same(wanted.get(cause), currency, legs)
    ]


def _same(wanted: Entry | None, currency: str, legs: Mapping[Account, int]) -> bool:
    return wanted is not None and wanted.currency == currency and dict(wanted.legs) == dict(legs)
