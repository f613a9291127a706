"""From minutes to lines. Quote, live meter, statement and bill call the same functions, so their figures cannot differ."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache

from billing.policy import OVERRUN_MAX_MIN, Basis, Policy
from marketplace.money import STEPS, Money, zero
from marketplace.slot import Slot, intersect, subtract, total, union

EARLY_GRACE = timedelta(minutes=15)
"""Run so long before the start belongs to the booking (devices' `early_grace`): confirmed, not billed."""

BLIND_SHARE = Fraction(1, 10)
"""A slot without run that was unseen for more than this share cannot be called a no-show (devices' coverage, 0.90)."""

FAULT_SHARE = Fraction(1, 2)
"""A slot without run that was down for at least this share failed on the provider's side."""


class UseState(StrEnum):
    RUN = "RUN"
    IDLE = "IDLE"
    OFF = "OFF"
    FAULT = "FAULT"
    UNKNOWN = "UNKNOWN"


class LineCode(StrEnum):
    USAGE = "usage"
    OVERTIME = "overtime"
    UNUSED = "unused"
    NO_SHOW = "no_show"
    CANCELLATION = "cancellation"
    PROGRAMME = "programme"
    CORRECTION = "correction"
    RESOLD = "resold"
    LATE = "late"
    """What the use would cost more and is not charged: it was found too late, or a dispute had settled the amount."""


class Outcome(StrEnum):
    """What the use amounts to."""

    FULFILLED = "fulfilled"
    NO_SHOW = "no_show"
    PROVIDER_FAILED = "provider_failed"
    UNVERIFIABLE = "unverifiable"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the equipment's time in one state."""

    slot: Slot
    state: UseState


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a statement; `minutes` only where the amount is counted from minutes."""

    code: LineCode
    amount: Money
    minutes: Fraction | None = None


@dataclass(frozen=True, slots=True)
class Minutes:
    """What was seen of a booking, exact minutes. `overtime` is the unbroken run past the end, capped by devices."""

    booked: Fraction
    confirmed: Fraction
    early: Fraction
    overtime: Fraction
    fault: Fraction
    unknown: Fraction


@dataclass(frozen=True, slots=True)
class Charge:
    """What a booking costs before any programme pays a part; `billable_min` excludes overtime."""

    outcome: Outcome
    lines: tuple[Line, ...]
    billable_min: Fraction
    amount: Money


def minutes_of(span: timedelta) -> Fraction:
    return Fraction(span // timedelta(microseconds=1), 60_000_000)


def price_of(price_per_hour: Money, minutes: Fraction, rate: Fraction = Fraction(1)) -> Money:
    """`minutes` at `price_per_hour` x `rate`, rounded once.

    >>> price_of(Money(30000, "CNY"), Fraction(105)).minor
    52500
    >>> price_of(Money(10000, "KWD"), Fraction(50)).minor
    8330
    """
    return price_per_hour.times(minutes * rate / 60)


def price_for(list_price: Money, prices: Mapping[str, int], customer_class: str | None) -> tuple[Money, str | None]:
    """An hour's price for a customer of that class, and the class where it has a price of its own.

    >>> price_for(Money(30000, "CNY"), {"academic": 20000}, "academic")
    (Money(minor=20000, currency='CNY'), 'academic')
    >>> price_for(Money(30000, "CNY"), {"academic": 20000}, "industry")
    (Money(minor=30000, currency='CNY'), None)
    """
    if customer_class is None or customer_class not in prices:
        return list_price, None
    return Money(prices[customer_class], list_price.currency), customer_class


def quote(price_per_hour: Money, slot: Slot, quantity: int = 1) -> Money:
    """The booked minutes at the list price."""
    return _quoted(price_per_hour, slot.duration, quantity)


@lru_cache(maxsize=1024)
def _quoted(price_per_hour: Money, duration: timedelta, quantity: int) -> Money:
    """Most slots are of the same few lengths."""
    return price_of(price_per_hour, minutes_of(duration) * quantity)


def dearest(budget: Money, minutes: Fraction) -> int:
    """The highest price per hour, in minor units, at which `minutes` cost no more than `budget`.

    >>> dearest(Money(100000, "CNY"), Fraction(240))
    25000
    """
    step = STEPS.get(budget.currency, 1)
    return math.ceil((budget.minor // step + Fraction(1, 2)) * step * 60 / minutes) - 1


def measure(slot: Slot, pieces: Iterable[Piece]) -> Minutes:
    """Add the pieces up against the booked slot; where they overlap, a fault outweighs run, and run outweighs not knowing."""
    listed = list(pieces)
    found = {state: union(piece.slot for piece in listed if piece.state is state) for state in UseState}
    fault = found[UseState.FAULT]
    run = subtract(found[UseState.RUN], fault)
    seen = union([*fault, *run, *found[UseState.IDLE], *found[UseState.OFF]])
    inside = [slot]
    early = [Slot(slot.start - EARLY_GRACE, slot.start)]
    return Minutes(
        booked=minutes_of(slot.duration),
        confirmed=minutes_of(total(intersect(run, inside))),
        early=minutes_of(total(intersect(run, early))),
        overtime=minutes_of(_overrun(run, slot.end)),
        fault=minutes_of(total(intersect(fault, inside))),
        unknown=minutes_of(total(subtract(intersect(found[UseState.UNKNOWN], inside), seen))),
    )


def _overrun(run: Sequence[Slot], end: datetime) -> timedelta:
    """How long the run that reaches `end` goes on without a break."""
    past = next((piece.end - end for piece in run if piece.start < end < piece.end), timedelta())
    return min(past, timedelta(minutes=OVERRUN_MAX_MIN))


def round_up(minutes: Fraction, increment: int) -> Fraction:
    """To the next multiple of `increment`.

    >>> round_up(Fraction(97), 15)
    Fraction(105, 1)
    """
    return Fraction(-(-minutes // increment) * increment)


def outcome_of(seen: Minutes) -> Outcome:
    """Any confirmed minute fulfils; without one, breakdown and blindness are not the customer's fault."""
    if seen.confirmed + seen.early + seen.overtime > 0:
        return Outcome.FULFILLED
    if seen.fault >= FAULT_SHARE * seen.booked:
        return Outcome.PROVIDER_FAILED
    if seen.unknown > BLIND_SHARE * seen.booked:
        return Outcome.UNVERIFIABLE
    return Outcome.NO_SHOW


def billable(seen: Minutes, policy: Policy) -> Fraction:
    """Minutes inside the slot to bill, never more than were booked."""
    held = max(seen.booked - seen.fault, Fraction(0))
    if policy.basis is Basis.BOOKED:
        return held
    actual = Fraction(0)
    if seen.confirmed > 0:
        actual = min(max(round_up(seen.confirmed, policy.increment_min), Fraction(policy.minimum_min)), seen.booked)
    return max(actual, held) if policy.basis is Basis.MAX else actual


def overtime(seen: Minutes, policy: Policy) -> Fraction:
    """Minutes past the end to bill: none within the grace, above it all of them."""
    run = min(seen.overtime, Fraction(policy.overtime_max_min))
    return round_up(run, policy.increment_min) if run > policy.grace_min else Fraction(0)


def charge_for_use(
    price_per_hour: Money,
    slot: Slot,
    pieces: Iterable[Piece],
    policy: Policy,
    *,
    quantity: int = 1,
    rebooked: Iterable[Slot] = (),
    verdict: Outcome | None = None,
) -> Charge:
    """What the use costs.

    `rebooked` is time of the slot that others booked after this booking let it go; `verdict` is the devices' word on what
    the use amounts to, worked out from the pieces where there is none.
    """
    seen = measure(slot, pieces)
    unit = Money(price_per_hour.minor * quantity, price_per_hour.currency)
    outcome = verdict or outcome_of(seen)
    if outcome is Outcome.NO_SHOW:
        missed = Line(LineCode.NO_SHOW, price_of(unit, seen.booked).times(policy.no_show_rate))
        return _charge(outcome, [missed], Fraction(0), unit.currency)
    if outcome is not Outcome.FULFILLED:
        return _charge(outcome, [], Fraction(0), unit.currency)
    used, late = billable(seen, policy), overtime(seen, policy)
    idle = max(seen.booked - used - seen.fault, Fraction(0))
    if policy.unused_free_if_rebooked:
        idle = max(idle - minutes_of(total(intersect([slot], rebooked))), Fraction(0))
    lines = [
        Line(LineCode.USAGE, price_of(unit, used), used),
        Line(LineCode.OVERTIME, price_of(unit, late, policy.overtime_mult), late),
        Line(LineCode.UNUSED, price_of(unit, idle, policy.unused_rate), idle),
    ]
    return _charge(outcome, lines, used, unit.currency)


def cancellation_fee(quoted: Money, slot: Slot, policy: Policy, *, cancelled_at: datetime, zone: tzinfo) -> Money:
    """What the customer owes for cancelling before the start."""
    return quoted.times(policy.cancellation_rate(slot.start, cancelled_at, zone))


def charge_for_cancellation(fee: Money, credit: Money | None = None, resold: Fraction | None = None) -> Charge:
    """The fee, less what is given back for `resold` minutes that others took."""
    lines = [Line(LineCode.CANCELLATION, fee), *([Line(LineCode.RESOLD, -credit, resold)] if credit else [])]
    return _charge(Outcome.CANCELLED, lines, Fraction(0), fee.currency)


def _charge(outcome: Outcome, lines: Iterable[Line], billed: Fraction, currency: str) -> Charge:
    kept = tuple(line for line in lines if line.amount)
    return Charge(outcome, kept, billed, sum((line.amount for line in kept), zero(currency)))


def missed_at_least(charge: Charge, owed: Money) -> Charge:
    """Who does not come either, pays no less than what cancelling a time given up before would have cost."""
    if charge.outcome is not Outcome.NO_SHOW or charge.amount >= owed:
        return charge
    more = Line(LineCode.CANCELLATION, owed - charge.amount)
    return replace(charge, lines=(*charge.lines, more), amount=owed)


def service_amount(charge: Charge) -> Money:
    """The part of a charge that is service and not penalty: the base of programmes."""
    penalties = {LineCode.NO_SHOW, LineCode.CANCELLATION, LineCode.RESOLD}
    lines = [line.amount for line in charge.lines if line.code not in penalties]
    return sum(lines, zero(charge.amount.currency))
