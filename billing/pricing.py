"""From minutes to lines. Quote, live meter, statement and bill call the same functions, so their figures cannot differ.

Confirmed minutes are rounded up once, as a total. Under a tariff the billed minutes are then laid out over the booked time
(`tariffs.choosing.lay_out`), and each price that they meet makes a line of its own, rounded once.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache

from billing.policy import OVERRUN_MAX_MIN, Basis, Policy
from billing.programmes.choosing import Bases
from billing.tariffs.choosing import PriceList, lay_out, shares
from billing.tariffs.taxes import NO_TAX, Tax
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
    SETUP = "setup"
    CLEANUP = "cleanup"
    OVERTIME = "overtime"
    UNUSED = "unused"
    NO_SHOW = "no_show"
    CANCELLATION = "cancellation"
    PROGRAMME = "programme"
    TAX = "tax"
    """What is added for it; nothing where the prices contain it."""
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
    hour: Money | None = None
    """What an hour of it costs, where a tariff gives one resource several prices."""
    taxed: tuple[Fraction, Money] | None = None
    """Of a line of tax its rate, and how much of the whole charge is tax."""


@dataclass(frozen=True, slots=True)
class Minutes:
    """What was seen of a booking, exact minutes. `overtime` is the unbroken run past the end, capped by devices."""

    booked: Fraction
    confirmed: Fraction
    early: Fraction
    overtime: Fraction
    fault: Fraction
    unknown: Fraction
    ran: tuple[Slot, ...] = ()
    down: tuple[Slot, ...] = ()
    """Where the confirmed and the faulty minutes lie, disjoint and in order."""


@dataclass(frozen=True, slots=True)
class Charge:
    """What a booking costs before any programme pays a part; `billable_min` excludes overtime."""

    outcome: Outcome
    lines: tuple[Line, ...]
    billable_min: Fraction
    amount: Money
    tax: Money
    """Contained in `amount`."""

    @property
    def net(self) -> Money:
        """Without tax."""
        return self.amount - self.tax


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


def quote(prices: PriceList, slot: Slot, quantity: int = 1) -> Money:
    """What the booked minutes cost at most, set-up, cleaning and an added tax with them: what somebody pays."""
    if prices.rules or prices.setup or prices.cleanup:
        return _total(quote_lines(prices, slot, quantity), prices.hour.currency)
    return _quoted(prices.hour, prices.tax, slot.duration, quantity)


@lru_cache(maxsize=1024)
def _quoted(price_per_hour: Money, tax: Tax, duration: timedelta, quantity: int) -> Money:
    """Most slots are of the same few lengths."""
    net = price_of(price_per_hour, minutes_of(duration) * quantity)
    return net + tax.on(net)


def quote_lines(prices: PriceList, slot: Slot, quantity: int = 1) -> list[Line]:
    """The lines of a bill by which every booked minute is used, and no other."""
    used = _priced(LineCode.USAGE, prices, [slot], slot.duration, quantity)
    return _with_tax([*used, *_around(prices, slot, quantity)], prices.tax, prices.hour.currency)


def _priced(
    code: LineCode, prices: PriceList, spans: Iterable[Slot], booked: timedelta, quantity: int, rate: Fraction = Fraction(1)
) -> list[Line]:
    """A line for each price that the time of `spans` meets, rounded once."""
    found = [(share.hour, minutes_of(share.time)) for share in shares(prices, spans, booked)]
    unit = [Money(hour.minor * quantity, hour.currency) for hour, _ in found]
    lines = [
        Line(code, price_of(one, minutes, rate), minutes, hour if prices.rules else None)
        for one, (hour, minutes) in zip(unit, found, strict=True)
    ]
    return [line for line in lines if line.amount]


def _around(prices: PriceList, slot: Slot, quantity: int) -> list[Line]:
    """Set-up and cleaning as far as they are billed."""
    before = [Slot(slot.start - prices.setup, slot.start)] if prices.setup else []
    after = [Slot(slot.end, slot.end + prices.cleanup)] if prices.cleanup else []
    setup = _priced(LineCode.SETUP, prices, before, slot.duration, quantity)
    return [*setup, *_priced(LineCode.CLEANUP, prices, after, slot.duration, quantity)]


def _with_tax(lines: Sequence[Line], tax: Tax, currency: str) -> list[Line]:
    """Service with its tax: added to the total, or told of it."""
    net = _total(lines, currency)
    return [*lines, *_tax_line(tax, tax.on(net), net + tax.on(net))]


def _tax_line(tax: Tax, added: Money, gross: Money) -> list[Line]:
    within = tax.within(gross)
    return [Line(LineCode.TAX, added, taxed=(tax.rate, within))] if within else []


def _total(lines: Iterable[Line], currency: str) -> Money:
    return sum((line.amount for line in lines), zero(currency))


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
        ran=tuple(intersect(run, inside)),
        down=tuple(intersect(fault, inside)),
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
    prices: PriceList,
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
    outcome, currency = verdict or outcome_of(seen), prices.hour.currency
    if outcome is Outcome.NO_SHOW:
        missed = quote(prices, slot, quantity).times(policy.no_show_rate)
        return _penalty(outcome, [Line(LineCode.NO_SHOW, missed)], prices.tax, currency)
    if outcome is not Outcome.FULFILLED:
        return _charge(outcome, [], Fraction(0), currency)
    used, late = billable(seen, policy), span_of(overtime(seen, policy))
    billed = lay_out(slot, seen.ran, seen.down, span_of(used))
    unused = subtract([slot], [*billed, *seen.down, *(rebooked if policy.unused_free_if_rebooked else ())])
    past = [Slot(slot.end, slot.end + late)] if late else []
    lines = [
        *_priced(LineCode.USAGE, prices, billed, slot.duration, quantity),
        *(_around(prices, slot, quantity) if outcome_of(seen) is Outcome.FULFILLED else ()),
        *_priced(LineCode.OVERTIME, prices, past, slot.duration, quantity, policy.overtime_mult),
        *_priced(LineCode.UNUSED, prices, unused, slot.duration, quantity, policy.unused_rate),
    ]
    return _charge(outcome, _with_tax(lines, prices.tax, currency), used, currency)


def span_of(minutes: Fraction) -> timedelta:
    return timedelta(microseconds=int(minutes * 60_000_000))


def cancellation_fee(quoted: Money, slot: Slot, policy: Policy, *, cancelled_at: datetime, zone: tzinfo) -> Money:
    """What the customer owes for cancelling before the start."""
    return quoted.times(policy.cancellation_rate(slot.start, cancelled_at, zone))


def charge_for_cancellation(
    fee: Money, credit: Money | None = None, resold: Fraction | None = None, *, tax: Tax = NO_TAX
) -> Charge:
    """The fee, less what is given back for `resold` minutes that others took; a part of the quote, it contains its tax."""
    lines = [Line(LineCode.CANCELLATION, fee), *([Line(LineCode.RESOLD, -credit, resold)] if credit else [])]
    return _penalty(Outcome.CANCELLED, lines, tax, fee.currency)


def _penalty(outcome: Outcome, lines: Sequence[Line], tax: Tax, currency: str) -> Charge:
    """Parts of the quote, which contains its tax."""
    told = _tax_line(tax, zero(currency), _total(lines, currency))
    return _charge(outcome, [*lines, *told], Fraction(0), currency)


def _charge(outcome: Outcome, lines: Iterable[Line], billed: Fraction, currency: str) -> Charge:
    kept = tuple(line for line in lines if line.amount or line.taxed)
    tax = sum((line.taxed[1] for line in kept if line.taxed), zero(currency))
    return Charge(outcome, kept, billed, _total(kept, currency), tax)


def missed_at_least(charge: Charge, owed: Money, tax: Tax = NO_TAX) -> Charge:
    """Who does not come either, pays no less than what cancelling a time given up before would have cost."""
    if charge.outcome is not Outcome.NO_SHOW or charge.amount >= owed:
        return charge
    missed = [line for line in charge.lines if not line.taxed]
    more = Line(LineCode.CANCELLATION, owed - charge.amount)
    return _penalty(charge.outcome, [*missed, more], tax, owed.currency)


USED = frozenset({LineCode.USAGE, LineCode.SETUP, LineCode.CLEANUP})


def bases_of(charge: Charge, tax: Tax) -> Bases:
    """What programmes take their shares of: of the service, never of a penalty, without tax."""
    nothing = zero(charge.amount.currency)
    if charge.outcome is not Outcome.FULFILLED:
        return Bases(nothing, nothing)
    used = _total((line for line in charge.lines if line.code in USED), nothing.currency)
    net = used if tax.on(used) else used - tax.within(used)
    return Bases(charge.net, min(net, charge.net))


def bases_of_quote(quoted: Money, tax: Tax) -> Bases:
    """The same of a quote, by which every booked minute is used."""
    net = quoted - tax.within(quoted)
    return Bases(net, net)
