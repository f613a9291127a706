"""Numbers of policies and simulations as JSON has them: whole, or decimal strings, both exact."""

import re
from decimal import Decimal
from fractions import Fraction
from typing import Any

from marketplace.refusals import Invalid

DECIMAL = re.compile(r"[0-9]{1,6}(\.[0-9]{1,18})?")
"""A decimal string: digits of ASCII with at most one point; no sign, exponent, space or separator."""


def read_whole(path: str, value: Any, *, least: int, most: int) -> int:
    """Raises: Invalid."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise Invalid(field=path, reason=f"must be a whole number from {least} to {most}")
    return value


def read_rate(path: str, value: Any, *, most: Fraction) -> Fraction:
    """A decimal string or a whole number, exactly. Raises: Invalid."""
    reason = f'must be a decimal string from 0 to {most}, such as "0.5"'
    if isinstance(value, bool) or not isinstance(value, str | int) or not DECIMAL.fullmatch(str(value)):
        raise Invalid(field=path, reason=reason)
    exact = Fraction(value)
    if exact > most:
        raise Invalid(field=path, reason=reason)
    return exact


def as_decimal(value: Fraction) -> str:
    """Exact, because every rate was read from a decimal string.

    >>> as_decimal(Fraction(3, 2)), as_decimal(Fraction(48))
    ('1.5', '48')
    """
    number = Decimal(value.numerator) / Decimal(value.denominator)
    return format(number.normalize(), "f")
