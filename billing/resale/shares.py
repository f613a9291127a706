"""How much of a cancelled slot was taken by others, and what of its fee that gives back."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from fractions import Fraction

from marketplace.money import Money
from marketplace.slot import Slot, intersect, total


def slot_of(ends_at: datetime, whole_s: int, units: int) -> Slot:
    """The time that was given up, by its end and its seconds, which count for each unit.

    >>> from datetime import UTC, datetime
    >>> slot_of(datetime(2026, 3, 10, 12, tzinfo=UTC), 14400, 2).start.hour
    10
    """
    return Slot(ends_at - timedelta(seconds=whole_s // units), ends_at)


def resold_s(slot: Slot, taken: Mapping[int, Iterable[Slot]]) -> int:
    """Seconds of `slot` that others had, by unit; a second of a unit counts once.

    >>> from datetime import UTC, datetime
    >>> day = [datetime(2026, 3, 10, hour, tzinfo=UTC) for hour in range(24)]
    >>> resold_s(Slot(day[9], day[12]), {0: [Slot(day[8], day[10]), Slot(day[9], day[11])], 1: [Slot(day[11], day[12])]})
    10800
    """
    return sum(int(total(intersect([slot], spans)).total_seconds()) for spans in taken.values())


def credit(fee: Money, resold: int, whole: int) -> Money:
    """The share of `fee`, rounded once by the house's rule and never more than the fee.

    >>> credit(Money(30000, "CNY"), 2700, 7200).minor
    11250
    """
    return min(fee, fee.times(Fraction(min(resold, whole), whole)))
