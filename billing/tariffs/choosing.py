"""What stretches of time cost one buyer: each minute by the rule that names most conditions, else the hour's plain price."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from fractions import Fraction

from billing.tariffs.rules import Rule, Window
from billing.tariffs.taxes import NO_TAX, Tax
from booking.availability import Opening, open_slots
from marketplace.money import Money
from marketplace.slot import Slot, common, subtract, total, union

NONE = timedelta()


@dataclass(frozen=True, slots=True)
class PriceList:
    """What time on a resource costs one buyer: class and assistance are decided, windows and steps are not."""

    hour: Money
    """Where none of `rules` applies."""
    rules: tuple[Rule, ...] = ()
    """The ones that count first come first."""
    zone: tzinfo = UTC
    """Whose wall clock the windows are of."""
    setup: timedelta = NONE
    """Before and after the slot, billed beside it."""
    cleanup: timedelta = NONE
    tax: Tax = NO_TAX


def for_buyer(rules: Iterable[Rule], *, customer_class: str | None, assisted: bool) -> tuple[Rule, ...]:
    """The rules that a buyer of that class can meet, the most specific first; of one stair the highest step first."""
    met = [one for one in rules if one.customer_class in {None, customer_class} and one.assisted in {None, assisted}]
    return tuple(sorted(met, key=lambda one: (-one.specificity, -(one.from_hours or Fraction(0)))))


@dataclass(frozen=True, slots=True)
class Share:
    """Time at one price per hour."""

    hour: Money
    time: timedelta


def shares(prices: PriceList, spans: Iterable[Slot], booked: timedelta) -> list[Share]:
    """The time of `spans` by price, the price of the earliest minute first; `booked` decides the step."""
    left = union(spans)
    if not prices.rules:
        return [Share(prices.hour, total(left))] if left else []
    found: dict[int, list[Slot]] = {}
    hours = Fraction(booked // timedelta(microseconds=1), 3_600_000_000)
    for rule in prices.rules:
        if left and (rule.from_hours or 0) <= hours:
            met = _within(rule.window, prices.zone, left)
            found.setdefault(rule.price, []).extend(met)
            left = subtract(left, met)
    found.setdefault(prices.hour.minor, []).extend(left)
    ordered = sorted((min(met).start, price) for price, met in found.items() if met)
    return [Share(Money(price, prices.hour.currency), total(found[price])) for _, price in ordered]


def _within(window: Window | None, zone: tzinfo, spans: Sequence[Slot]) -> list[Slot]:
    """The parts of disjoint spans, in order, that lie in the window."""
    if window is None:
        return list(spans)
    return common(spans, open_slots(Opening(window.hours), zone, Slot(spans[0].start, spans[-1].end)))


def lay_out(slot: Slot, confirmed: Sequence[Slot], down: Sequence[Slot], billed: timedelta) -> list[Slot]:
    """Where `billed` time inside the slot lies, disjoint and in order: at least the confirmed use.

    What rounding up, a minimum or the policy's basis adds to it lies as if the use had gone on: after the last confirmed minute
    up to the end, then before it, the nearest first; where the equipment was down only when there is no other time left. So no
    minute is billed twice, and no more of a window than was booked of it.
    """
    turn = confirmed[-1].end if confirmed else slot.start
    added, left = list[Slot](), billed - total(confirmed)
    for room in (subtract([slot], [*confirmed, *down]), subtract(down, confirmed)):
        for piece in _nearest(room, turn):
            if left > NONE:
                taken = min(left, piece.duration)
                late = piece.start >= turn
                added.append(Slot(piece.start, piece.start + taken) if late else Slot(piece.end - taken, piece.end))
                left -= taken
    return union([*confirmed, *added])


def _nearest(room: Sequence[Slot], turn: datetime) -> list[Slot]:
    """What follows `turn`, then what precedes it, the latest first."""
    cut = [piece for one in room for piece in _cut(one, turn)]
    return [*(one for one in cut if one.start >= turn), *(one for one in reversed(cut) if one.start < turn)]


def _cut(slot: Slot, at: datetime) -> list[Slot]:
    return [Slot(slot.start, at), Slot(at, slot.end)] if slot.start < at < slot.end else [slot]
