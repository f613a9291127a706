"""A tax on what is charged: within the prices or added to them, rounded once on the total."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any

from billing.exact import as_decimal, read_rate
from marketplace.money import Money
from marketplace.refusals import Invalid


class Mode(StrEnum):
    INCLUDED = "included"
    ADDED = "added"


@dataclass(frozen=True, slots=True)
class Tax:
    """One rate for all that a policy charges; whether its prices contain it."""

    rate: Fraction = Fraction(0)
    mode: Mode = Mode.INCLUDED

    def within(self, gross: Money) -> Money:
        """What of an amount that somebody pays is tax; of one that `on` made, exactly what it added.

        >>> Tax(Fraction(13, 100)).within(Money(11300, "CNY")).minor
        1300
        """
        return gross.times(self.rate / (1 + self.rate))

    def on(self, net: Money) -> Money:
        """What comes on top of prices without tax; nothing where they contain it.

        >>> Tax(Fraction(13, 100), Mode.ADDED).on(Money(10000, "CNY")).minor
        1300
        """
        return net.times(self.rate if self.mode is Mode.ADDED else Fraction(0))


NO_TAX = Tax()


def read(path: str, value: Any) -> Tax:
    """From {"rate", "mode"}. Raises: Invalid."""
    if not isinstance(value, Mapping) or set(value) != {"rate", "mode"}:
        raise Invalid(field=path, reason='must be {"rate", "mode"}')
    if value["mode"] not in set(Mode):
        raise Invalid(field=f"{path}.mode", reason="must be included or added")
    rate = read_rate(f"{path}.rate", value["rate"], most=Fraction(1))
    return Tax(rate, Mode(value["mode"])) if rate else NO_TAX


def as_json(tax: Tax) -> dict[str, Any]:
    return {"rate": as_decimal(tax.rate), "mode": tax.mode.value}
