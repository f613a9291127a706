"""Which programmes pay how much of a booking: the same function for a simulation, a quote, a statement and a bill."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fractions import Fraction

from marketplace.money import Money, zero


class ProgrammeKind(StrEnum):
    VOUCHER = "voucher"
    SUBSIDY = "subsidy"


class Mode(StrEnum):
    """Whether the share comes off the firm's bill and the programme pays the house, or the firm pays all and is paid back."""

    DEDUCT = "deduct"
    REIMBURSE = "reimburse"


class Base(StrEnum):
    """What a share is taken of: all of the service, or only what was used of the booked time, set-up and cleaning with it."""

    SERVICE = "service"
    USAGE = "usage"


@dataclass(frozen=True, slots=True)
class Bases:
    """Of one charge, without tax and without penalties."""

    service: Money
    usage: Money

    def of(self, base: Base) -> Money:
        return self.service if base is Base.SERVICE else self.usage

    def at_most(self, limit: Money) -> "Bases":
        return Bases(min(self.service, limit), min(self.usage, limit))


@dataclass(frozen=True, slots=True)
class Programme:
    """A payer of a share of the service, at most what is left of its entitlement and at most `cap` of one booking.

    Programmes of one `stack` add up; those without exclude every other.
    """

    kind: ProgrammeKind
    rate: Fraction
    remaining: Money | None = None
    expires_at: datetime | None = None
    stack: str | None = None
    cap: Money | None = None
    base: Base = Base.SERVICE
    mode: Mode = Mode.DEDUCT
    key: str = ""
    """The entitlement it is paid from; nothing in a simulation."""


@dataclass(frozen=True, slots=True)
class Share:
    programme: Programme
    amount: Money


def choose(bases: Bases, programmes: Sequence[Programme]) -> list[Share]:
    """The largest single programme or stack, of which no more is paid than the service costs; the earlier expiry of equals.

    Within a stack those that expire earlier pay first.
    """
    groups: dict[tuple[str, str], list[Share]] = {}
    for number, programme in enumerate(sorted(programmes, key=_expiry)):
        group = groups.setdefault(("stack", programme.stack) if programme.stack else ("alone", str(number)), [])
        left = bases.service - total(group, bases.service.currency)
        group.append(Share(programme, min(_share(bases, programme), left)))
    best = max(groups.values(), key=lambda group: total(group, bases.service.currency).minor, default=[])
    return [share for share in best if share.amount]


def programme_pays(bases: Bases, programmes: Sequence[Programme]) -> Money:
    """What they take over together."""
    return total(choose(bases, programmes), bases.service.currency)


def total(shares: Sequence[Share], currency: str, mode: Mode | None = None) -> Money:
    """Of all of them, or of those of one mode."""
    return sum((one.amount for one in shares if mode in (None, one.programme.mode)), zero(currency))


def _expiry(programme: Programme) -> tuple[bool, float, str]:
    at = programme.expires_at
    return (at is None, at.timestamp() if at else 0.0, programme.key)


def _share(bases: Bases, programme: Programme) -> Money:
    """Rounded down, the limits too: in the currency's steps."""
    share = bases.of(programme.base).times_down(programme.rate)
    for limit in (programme.cap, programme.remaining):
        if limit is not None:
            share = min(share, limit.times_down(Fraction(1)))
    return max(share, zero(share.currency))


def conditional(charge: Money, fee: Money, paid_for: Money, tax: Money) -> Money:
    """What of the institution's share waits for the programmes: the fee comes from the firm's part first.

    >>> yuan = lambda minor: Money(minor, "CNY")
    >>> [conditional(yuan(52500), yuan(4200), yuan(paid), yuan(0)).minor for paid in (0, 12000, 50000)]
    [0, 12000, 48300]
    """
    nothing = zero(charge.currency)
    net = charge - tax - fee
    return net - max(nothing, net - paid_for) if paid_for else nothing


def spread(waiting: Money, parts: Sequence[Money]) -> list[Money]:
    """What of each programme's part goes to the institution once it pays: what is left of the fee comes off the first ones.

    >>> [one.minor for one in spread(Money(90, "CNY"), [Money(60, "CNY"), Money(40, "CNY")])]
    [50, 40]
    """
    fee, found = sum(parts, zero(waiting.currency)) - waiting, []
    for part in parts:
        taken = min(fee, part)
        found.append(part - taken)
        fee -= taken
    return found
