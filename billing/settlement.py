"""One rule for every funding source: secure S before the slot, take what is owed of it, then collect or give back."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from marketplace.money import STEPS, Money, round_half_away, split, zero

HOLD_FACTOR = Fraction(6, 5)
"""A card is held for the quote and a fifth, so that some overtime needs no second charge."""

ONLINE_MINIMUM = {"CNY": 500}
"""Smallest amount the provider takes online, minor units; less goes on the monthly statement."""

CARD_FEE = Fraction(34, 1000)
WALLET_FEE = Fraction(22, 1000)
FLAT_FEE = {"CNY": 200}
"""The stand-in's processing fees: a share of the amount and a fixed part, minor units."""


class Funding(StrEnum):
    CARD = "card"
    WALLET = "wallet"
    BANK = "bank"


@dataclass(frozen=True, slots=True)
class Settlement:
    """How the owed amount is taken. `transfer` is what goes out to the institution now."""

    customer_pays: Money
    hold: Money
    capture: Money
    release: Money
    refund: Money
    remainder: Money
    platform_fee: Money
    transfer: Money


def hold_for(quoted: Money) -> Money:
    """What is held on a card before the slot.

    >>> hold_for(Money(60000, "CNY")).minor
    72000
    """
    return quoted.times(HOLD_FACTOR)


def platform_fee(net: Money, rate: Fraction) -> Money:
    """The platform's share of everything charged, penalties included and tax left out; programmes do not lessen it."""
    return net.times(rate)


def settle(
    *, quoted: Money, charge: Money, programme: Money, fee_rate: Fraction, funding: Funding, tax: Money | None = None
) -> Settlement:
    """Split what is owed by how it was secured; `tax` is what the charge contains of it.

    >>> yuan = lambda minor: Money(minor, "CNY")
    >>> rate, card = Fraction(2, 25), Funding.CARD
    >>> settled = settle(quoted=yuan(60000), charge=yuan(52500), programme=yuan(0), fee_rate=rate, funding=card)
    >>> settled.capture.minor, settled.release.minor, settled.transfer.minor
    (52500, 19500, 48300)
    """
    nothing = zero(quoted.currency)
    pays = charge - programme
    fee = platform_fee(charge - (tax or nothing), fee_rate)
    hold, capture, release, refund = nothing, nothing, nothing, nothing
    if funding is Funding.CARD:
        hold = hold_for(quoted)
        capture = capturable(pays, hold)
        release = hold - capture
    elif funding is Funding.WALLET:
        capture = quoted
        refund = max(nothing, quoted - pays)
    remainder = max(nothing, pays - capture)
    return Settlement(pays, hold, capture, release, refund, remainder, fee, max(nothing, pays - fee))


def capturable(owed: Money, secured: Money) -> Money:
    """What is captured of a hold: the confirmed amount, nothing where it is below the provider's minimum."""
    if owed.minor < ONLINE_MINIMUM.get(owed.currency, 0):
        return zero(owed.currency)
    return min(owed, secured)


def transfers(charges: Sequence[Money], out: Money) -> list[Money]:
    """`out` handed out over the charges in proportion, each at most its charge, in the provider's steps.

    >>> [part.minor for part in transfers([Money(72000, "CNY"), Money(21750, "CNY")], Money(86250, "CNY"))]
    [66240, 20010]
    """
    if not charges:
        return []
    step = STEPS.get(out.currency, 1)
    parts = split(Money(out.minor // step, out.currency), [charge.minor for charge in charges])
    return [Money(part.minor * step, out.currency) for part in parts]


def processing_fee(amount: Money, funding: Funding) -> Money:
    """What the stand-in keeps of a payment, half up.

    >>> processing_fee(Money(52500, "CNY"), Funding.CARD).minor, processing_fee(Money(60000, "CNY"), Funding.WALLET).minor
    (1985, 1520)
    """
    if amount.currency not in FLAT_FEE or funding is Funding.BANK or not amount:
        return zero(amount.currency)
    rate = CARD_FEE if funding is Funding.CARD else WALLET_FEE
    return Money(round_half_away(amount.minor * rate) + FLAT_FEE[amount.currency], amount.currency)
