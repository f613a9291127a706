"""Journal entries by kind: double entry, signed legs (debit +), one currency an entry, sum zero by construction."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from billing.programmes.choosing import conditional
from marketplace.money import Money, zero


class Account(StrEnum):
    PSP = "PSP"
    BANK = "BANK"
    AR = "AR"
    PREP = "PREP"
    RIT = "RIT"
    IP = "IP"
    IPC = "IPC"
    FEE = "FEE"
    TAX = "TAX"
    PFE = "PFE"
    DFE = "DFE"
    DR = "DR"
    VR = "VR"
    IFR = "IFR"
    SUS = "SUS"


class EntryKind(StrEnum):
    USAGE_CHARGE = "usage_charge"
    DIRECT_CHARGE = "direct_charge"
    DIRECT_PAID = "direct_paid"
    FEE_PAID = "fee_paid"
    PAYMENT_CAPTURED = "payment_captured"
    PREPAY_CAPTURED = "prepay_captured"
    PREPAY_APPLIED = "prepay_applied"
    PSP_FEE = "psp_fee"
    REFUND_INITIATED = "refund_initiated"
    REFUND_SETTLED = "refund_settled"
    TRANSFER_OUT = "transfer_out"
    BANK_RECEIVED = "bank_received"
    BANK_PAYOUT = "bank_payout"
    VOUCHER_PAID = "voucher_paid"
    VOUCHER_RELEASED = "voucher_released"
    REFUND_FAILED = "refund_failed"
    REFUND_REPEATED = "refund_repeated"


class Unbalanced(AssertionError):
    """An entry does not sum to zero: a fault of the program, never of the data."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One journal entry; legs of zero are left out."""

    kind: EntryKind
    currency: str
    legs: tuple[tuple[Account, int], ...]

    def __post_init__(self) -> None:
        if sum(amount for _, amount in self.legs) != 0:
            raise Unbalanced(f"{self.kind}: {self.legs}")


def _entry(kind: EntryKind, currency: str, legs: Mapping[Account, int]) -> Entry:
    return Entry(kind, currency, tuple((account, amount) for account, amount in legs.items() if amount))


def _move(kind: EntryKind, amount: Money, debit: Account, credit: Account) -> Entry:
    return _entry(kind, amount.currency, {debit: amount.minor, credit: -amount.minor})


A, K = Account, EntryKind


def usage_charge(
    charge: Money, fee: Money, programme: Money | None = None, tax: Money | None = None, waiting: Money | None = None
) -> Entry:
    """The firm, and a programme for its part, owe; the institution is owed the rest after the fee.

    `waiting` is what of its share the institution gets only once the programme has paid, worked out where it is not said.
    `tax` is what the charge contains: the institution owes it on, so it goes out to it with the rest, and what it is owed is IP
    and TAX together.

    >>> dict(usage_charge(Money(52500, "CNY"), Money(4200, "CNY")).legs)[Account.IP]
    -48300
    """
    paid_for, taxed = programme or zero(charge.currency), tax or zero(charge.currency)
    held = conditional(charge, fee, paid_for, taxed) if waiting is None else waiting
    sure = charge - taxed - fee - held
    legs = {A.AR: (charge - paid_for).minor, A.VR: paid_for.minor, A.IP: -sure.minor, A.IPC: -held.minor, A.FEE: -fee.minor}
    return _entry(K.USAGE_CHARGE, charge.currency, {**legs, A.TAX: -taxed.minor})


def direct_charge(charge: Money, fee: Money, tax: Money | None = None, programme: Money | None = None) -> Entry:
    """The firm owes the institution itself, tax included, and a programme its part; the platform bills its fee to the house."""
    taxed, paid_for = tax or zero(charge.currency), programme or zero(charge.currency)
    owed = {A.AR: (charge - paid_for).minor, A.VR: paid_for.minor, A.IP: (taxed + paid_for - charge).minor}
    legs = {**owed, A.IPC: -paid_for.minor, A.TAX: -taxed.minor, A.IFR: fee.minor, A.FEE: -fee.minor}
    return _entry(K.DIRECT_CHARGE, charge.currency, legs)


def direct_paid(amount: Money) -> Entry:
    """The firm's transfer reached the institution's own account."""
    return _move(K.DIRECT_PAID, amount, A.IP, A.AR)


def fee_paid(amount: Money) -> Entry:
    """The institution paid the platform's fee."""
    return _move(K.FEE_PAID, amount, A.BANK, A.IFR)


def payment_captured(amount: Money) -> Entry:
    return _move(K.PAYMENT_CAPTURED, amount, A.PSP, A.AR)


def prepay_captured(amount: Money) -> Entry:
    return _move(K.PREPAY_CAPTURED, amount, A.PSP, A.PREP)


def prepay_applied(amount: Money) -> Entry:
    return _move(K.PREPAY_APPLIED, amount, A.PREP, A.AR)


def psp_fee(amount: Money) -> Entry:
    return _move(K.PSP_FEE, amount, A.PFE, A.PSP)


def refund_initiated(amount: Money) -> Entry:
    return _move(K.REFUND_INITIATED, amount, A.PREP, A.RIT)


def refund_settled(amount: Money) -> Entry:
    return _move(K.REFUND_SETTLED, amount, A.RIT, A.PSP)


def refund_refused(amount: Money) -> Entry:
    """A refund did not get to the firm: the money is the firm's, and without a use."""
    return _move(K.REFUND_FAILED, amount, A.RIT, A.SUS)


def refund_came_back(amount: Money) -> Entry:
    """The same of one that had arrived: the provider has the money again."""
    return _move(K.REFUND_FAILED, amount, A.PSP, A.SUS)


def refund_repeated(amount: Money) -> Entry:
    """What had come back went out again; posted together with its arrival."""
    return _move(K.REFUND_REPEATED, amount, A.SUS, A.RIT)


def transfer_out(amount: Money) -> Entry:
    return _move(K.TRANSFER_OUT, amount, A.IP, A.PSP)


def bank_received(amount: Money) -> Entry:
    """A firm paid the platform by bank transfer."""
    return _move(K.BANK_RECEIVED, amount, A.BANK, A.AR)


def bank_payout(amount: Money) -> Entry:
    return _move(K.BANK_PAYOUT, amount, A.IP, A.BANK)


def voucher_paid(amount: Money) -> Entry:
    return _move(K.VOUCHER_PAID, amount, A.BANK, A.VR)


def voucher_paid_direct(amount: Money) -> Entry:
    """A programme paid the institution itself."""
    return _move(K.VOUCHER_PAID, amount, A.IPC, A.VR)


def voucher_released(amount: Money) -> Entry:
    return _move(K.VOUCHER_RELEASED, amount, A.IPC, A.IP)


def balances(entries: Iterable[Entry]) -> dict[Account, int]:
    """Per account, those that are not zero."""
    sums: dict[Account, int] = defaultdict(int)
    for entry in entries:
        for account, amount in entry.legs:
            sums[account] += amount
    return {account: amount for account, amount in sums.items() if amount}
