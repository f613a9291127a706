"""Integer minor units: one currency at a time, one rounding at the end, nothing lost in a split."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.money import EXPONENTS, STEPS, CurrencyMismatch, Money, UnknownCurrency, round_half_away, split, zero

minors = st.integers(-(10**13), 10**13)
currencies = st.sampled_from(sorted(EXPONENTS))
rates = st.fractions(-3, 3, max_denominator=10_000)


@pytest.mark.parametrize(
    ("minor", "currency", "shown"), [(52500, "CNY", "525.00"), (525, "JPY", "525"), (5250, "KWD", "5.250"), (-1, "EUR", "-0.01")]
)
def test_minor_units_follow_the_currency(minor: int, currency: str, shown: str) -> None:
    assert str(Money(minor, currency).decimal) == shown
    assert Money(minor, currency).decimal == Decimal(shown)


@pytest.mark.parametrize("code", ["", "cny", "ABC", "CNY "])
def test_a_currency_that_is_not_listed_is_refused(code: str) -> None:
    with pytest.raises(UnknownCurrency):
        Money(1, code)


def test_two_currencies_do_not_meet() -> None:
    yuan, yen = Money(1, "CNY"), Money(1, "JPY")
    for meet in (lambda: yuan + yen, lambda: yuan - yen, lambda: yuan < yen, lambda: yuan <= yen):
        with pytest.raises(CurrencyMismatch):
            meet()
    assert yuan != yen


@pytest.mark.laws
@given(minors, minors, currencies)
def test_sums_are_the_sums_of_minor_units(one: int, two: int, currency: str) -> None:
    a, b = Money(one, currency), Money(two, currency)
    assert (a + b).minor == one + two
    assert a - b == a + -b
    assert (a < b, a <= b, bool(a)) == (one < two, one <= two, one != 0)
    assert a + zero(currency) == a


@pytest.mark.parametrize(
    ("value", "rounded"),
    [("1/2", 1), ("-1/2", -1), ("3/2", 2), ("-3/2", -2), ("5/2", 3), ("49/100", 0), ("-51/100", -1), ("7", 7)],
)
def test_a_half_goes_away_from_zero(value: str, rounded: int) -> None:
    assert round_half_away(Fraction(value)) == rounded


@given(st.fractions())
def test_rounding_moves_at_most_a_half_and_is_alike_on_both_sides(value: Fraction) -> None:
    assert abs(round_half_away(value) - value) <= Fraction(1, 2)
    assert round_half_away(-value) == -round_half_away(value)


@pytest.mark.parametrize(
    ("minor", "currency", "rate", "nearest", "down"),
    [
        (105, "CNY", "1/2", 53, 52),
        (-105, "CNY", "1/2", -53, -52),
        (7, "JPY", "3/2", 11, 10),
        (1050, "KWD", "1/100", 10, 10),
        (1550, "KWD", "1/100", 20, 10),
        (-1550, "KWD", "1/100", -20, -10),
    ],
)
def test_a_rate_is_applied_with_one_rounding(minor: int, currency: str, rate: str, nearest: int, down: int) -> None:
    amount = Money(minor, currency)
    assert amount.times(Fraction(rate)) == Money(nearest, currency)
    assert amount.times_down(Fraction(rate)) == Money(down, currency)


@given(minors, currencies, rates)
def test_a_share_is_a_multiple_of_the_step_and_never_far_off(minor: int, currency: str, rate: Fraction) -> None:
    step, exact = STEPS.get(currency, 1), minor * rate
    nearest, down = Money(minor, currency).times(rate).minor, Money(minor, currency).times_down(rate).minor
    assert (nearest % step, down % step) == (0, 0)
    assert abs(nearest - exact) <= Fraction(step, 2)
    assert abs(down) <= abs(exact) < abs(down) + step


def test_the_remainder_of_a_split_goes_to_the_largest_fractions_first_first() -> None:
    assert [part.minor for part in split(Money(100, "CNY"), [1, 1, 1])] == [34, 33, 33]
    assert [part.minor for part in split(Money(5, "JPY"), [3, 7])] == [2, 3]
    assert [part.minor for part in split(Money(10, "JPY"), [0, 1])] == [0, 10]


@given(minors, currencies, st.lists(st.integers(0, 10**6), min_size=1, max_size=20).filter(any))
def test_the_parts_of_a_split_add_up_and_are_fair(minor: int, currency: str, weights: list[int]) -> None:
    parts = split(Money(minor, currency), weights)
    assert sum(part.minor for part in parts) == minor
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part.minor - Fraction(minor * weight, sum(weights))) < 1
