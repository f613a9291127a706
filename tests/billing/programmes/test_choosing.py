"""Which programmes pay how much: the larger, the earlier expiry of equals, stacks, caps, rounding down."""

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.programmes.choosing import Base, Bases, Programme, ProgrammeKind, choose, conditional, programme_pays, spread
from billing.programmes.years import year_of
from marketplace.money import Money

SOON, LATE = datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)


def yuan(minor: int) -> Money:
    return Money(minor, "CNY")


def bases(service: int, usage: int | None = None) -> Bases:
    return Bases(yuan(service), yuan(service if usage is None else usage))


def a_payer(rate: str = "0.5", **values: Any) -> Programme:
    return Programme(ProgrammeKind.VOUCHER, Fraction(rate), **values)


def chosen(found: Bases, *programmes: Programme) -> list[tuple[str, int]]:
    return [(share.programme.key, share.amount.minor) for share in choose(found, programmes)]


def test_the_larger_programme_wins_and_stacks_add_up() -> None:
    half, third = a_payer("0.5"), a_payer("0.3")
    assert programme_pays(bases(10001), [half, third]).minor == 5000
    stacked = [a_payer(rate, stack="city") for rate in ("0.5", "0.3")]
    assert programme_pays(bases(10001), stacked).minor == 8000


def test_of_equal_programmes_the_one_that_expires_earlier_pays() -> None:
    late, soon, never = (a_payer(expires_at=at, key=key) for at, key in ((LATE, "late"), (SOON, "soon"), (None, "never")))
    assert chosen(bases(100), never, late, soon) == [("soon", 50)]
    assert chosen(bases(100), never, late) == [("late", 50)]


def test_a_single_programme_may_be_larger_than_a_stack() -> None:
    stack = [a_payer(rate, stack="city", key=rate) for rate in ("0.2", "0.3")]
    assert chosen(bases(1000), *stack, a_payer("0.6", key="alone")) == [("alone", 600)]
    assert chosen(bases(1000), *stack, a_payer("0.4", key="alone")) == [("0.2", 200), ("0.3", 300)]


def test_a_stack_pays_no_more_than_the_service_costs() -> None:
    stack = [a_payer("0.8", stack="city", key=key, expires_at=at) for key, at in (("late", LATE), ("soon", SOON))]
    assert chosen(bases(1000), *stack) == [("soon", 800), ("late", 200)]


@pytest.mark.parametrize(
    ("limits", "pays"),
    [
        ({"remaining": yuan(12000)}, 12000),
        ({"cap": yuan(10000)}, 10000),
        ({"cap": yuan(10000), "remaining": yuan(9999)}, 9999),
        ({"remaining": yuan(0)}, 0),
        ({}, 15750),
    ],
)
def test_the_lowest_limit_holds(limits: dict[str, Money], pays: int) -> None:
    assert programme_pays(bases(52500), [a_payer("0.3", **limits)]).minor == pays


def test_a_share_of_what_was_used_leaves_overtime_and_unused_time_out() -> None:
    assert programme_pays(bases(10000, usage=6000), [a_payer("0.5", base=Base.USAGE)]).minor == 3000


def test_years_are_counted_on_the_calendar_of_the_programme() -> None:
    zone, first = ZoneInfo("Asia/Shanghai"), date(2026, 7, 1)
    at = datetime.fromisoformat
    assert [year_of(at(moment), first, zone) for moment in ("2026-06-30T23:59:59+08:00", "2026-06-30T16:00:00+00:00")] == [0, 1]
    assert [year_of(at(moment), first, zone) for moment in ("2027-06-30T15:59:59+00:00", "2027-07-01T00:00:00+08:00")] == [1, 2]


amounts = st.integers(0, 10**9)


@given(st.sampled_from(["CNY", "JPY", "KWD"]), amounts, st.lists(st.tuples(st.integers(0, 100), amounts, st.integers(0, 3))))
def test_no_more_is_paid_than_the_service_costs_and_each_has_left(
    currency: str, base: int, payers: list[tuple[int, int, int]]
) -> None:
    service = Money(base, currency)
    programmes = [
        Programme(
            ProgrammeKind.SUBSIDY,
            Fraction(percent, 100),
            Money(left, currency),
            SOON + timedelta(days=left % 7),
            str(group) if group else None,
            key=str(number),
        )
        for number, (percent, left, group) in enumerate(payers)
    ]
    shares = choose(Bases(service, service), programmes)
    assert programme_pays(Bases(service, service), programmes) <= service
    assert all(share.programme.remaining is not None and share.amount <= share.programme.remaining for share in shares)
    assert all(share.amount.minor * 100 <= base * share.programme.rate * 100 for share in shares)
    stacks = {share.programme.stack for share in shares}
    assert len(stacks) <= 1
    assert len(shares) <= 1 or stacks != {None}


@given(amounts, st.integers(0, 100), st.lists(amounts, max_size=4))
def test_what_waits_for_programmes_is_spread_without_remainder(charge: int, percent: int, parts: list[int]) -> None:
    fee, paid = yuan(charge).times(Fraction(percent, 100)), sum(parts)
    if paid <= charge:
        waiting = conditional(yuan(charge), fee, yuan(paid), yuan(0))
        found = spread(waiting, [yuan(part) for part in parts])
        assert sum(one.minor for one in found) == waiting.minor
        assert all(0 <= one.minor <= part for one, part in zip(found, parts, strict=True))
