"""Integer minor units with a currency; rates are fractions; rounding happens once, at the end."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

EXPONENTS = {"CNY": 2, "EUR": 2, "USD": 2, "GBP": 2, "HKD": 2, "CHF": 2, "SGD": 2, "JPY": 0, "KRW": 0, "KWD": 3}
"""Decimal places of each currency that can be listed (ISO 4217)."""

STEPS = {"KWD": 10}
"""Smallest multiple of minor units that card networks accept where it is not 1 (Stripe, currencies)."""


class UnknownCurrency(ValueError):
    """The code is not in `EXPONENTS`."""


class CurrencyMismatch(ValueError):
    """Two currencies do not add up."""


@dataclass(frozen=True, slots=True)
class Money:
    """`minor` units of `currency`.

    >>> Money(52500, "CNY").decimal
    Decimal('525.00')
    """

    minor: int
    currency: str

    def __post_init__(self) -> None:
        if self.currency not in EXPONENTS:
            raise UnknownCurrency(self.currency)

    @property
    def decimal(self) -> Decimal:
        return Decimal(self.minor).scaleb(-EXPONENTS[self.currency])

    def __add__(self, other: "Money") -> "Money":
        return Money(self.minor + self._same(other), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.minor - self._same(other), self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.minor, self.currency)

    def __lt__(self, other: "Money") -> bool:
        return self.minor < self._same(other)

    def __le__(self, other: "Money") -> bool:
        return self.minor <= self._same(other)

    def __bool__(self) -> bool:
        return self.minor != 0

    def _same(self, other: "Money") -> int:
        if other.currency != self.currency:
            raise CurrencyMismatch(f"{self.currency} and {other.currency}")
        return other.minor

    def times(self, rate: Fraction) -> "Money":
        """`self` x `rate`, rounded once, half away from zero, to the currency's step."""
        step = STEPS.get(self.currency, 1)
        return Money(round_half_away(Fraction(self.minor) * rate / step) * step, self.currency)

    def times_down(self, rate: Fraction) -> "Money":
        """`self` x `rate`, rounded towards zero to the currency's step (subsidies and vouchers)."""
        step = STEPS.get(self.currency, 1)
        exact = Fraction(self.minor) * rate / step
        return Money((abs(exact.numerator) // exact.denominator) * (1 if exact >= 0 else -1) * step, self.currency)


def zero(currency: str) -> Money:
    return Money(0, currency)


def by_currency(amounts: Sequence[Money]) -> list[Money]:
    """One sum a currency, in the order of their codes."""
    currencies = sorted({amount.currency for amount in amounts})
    return [sum((amount for amount in amounts if amount.currency == one), zero(one)) for one in currencies]


def round_half_away(value: Fraction) -> int:
    """Half away from zero.

    >>> round_half_away(Fraction(5, 2)), round_half_away(Fraction(-5, 2))
    (3, -3)
    """
    magnitude = (2 * abs(value.numerator) + value.denominator) // (2 * value.denominator)
    return magnitude if value >= 0 else -magnitude


def split(amount: Money, weights: Sequence[int]) -> list[Money]:
    """Parts in proportion to `weights` that add up to `amount`; the remainder goes to the largest fractions, first first."""
    whole = sum(weights)
    exact = [Fraction(amount.minor * weight, whole) for weight in weights]
    parts = [value.numerator // value.denominator for value in exact]
    order = sorted(range(len(weights)), key=lambda i: (parts[i] - exact[i], i))
    for i in order[: amount.minor - sum(parts)]:
        parts[i] += 1
    return [Money(part, amount.currency) for part in parts]
