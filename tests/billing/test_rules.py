"""The rules of pricing one by one, and what holds for every bill."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing import ledger, policy, simulation
from billing.policy import Policy, Tier
from billing.pricing import Piece, UseState
from billing.programmes.choosing import Programme, ProgrammeKind
from billing.settlement import Funding
from billing.simulation import Request
from billing.tariffs.choosing import PriceList
from marketplace.money import STEPS, Money
from marketplace.refusals import Invalid
from marketplace.slot import Slot
from tests.billing.test_cases import a_request, amounts, simulate

START = datetime(2026, 3, 10, 1, tzinfo=UTC)


def at(minute: float) -> str:
    return (START + timedelta(minutes=minute)).isoformat()


def use(*pieces: tuple[float, float, str]) -> list[dict[str, str]]:
    return [{"start": at(start), "end": at(end), "state": state} for start, end, state in pieces]


def charge_of(*pieces: tuple[float, float, str], **values: Any) -> dict[str, int]:
    """What two booked hours at 60.00 cost: a minute is a yuan."""
    answer = simulate(None, **{"price_per_hour": 6000, "use": use(*pieces), **values}).as_json()
    return {"charge": answer["charge"]["minor"] // 100, "billable": answer["billable_min"]}


@pytest.mark.parametrize(
    ("pieces", "charge"),
    [
        ([(0, 40, "RUN"), (60, 97, "RUN")], 90),  # 77 added up, then rounded once
        ([(0, 5, "RUN"), (10, 15, "RUN")], 30),  # the minimum
        ([(0, 0.5, "RUN")], 30),
        ([(0, 90 + 1 / 60, "RUN")], 105),
        ([(0, 60, "IDLE"), (60, 120, "RUN")], 60),
        ([(100, 120, "RUN")], 30),  # late, and still no no-show
        ([(-10, 0, "RUN"), (0, 60, "RUN")], 60),  # early is not billed
        ([(-10, 0, "RUN")], 0),  # early is confirmed: no no-show
        ([(-60, -20, "RUN")], 60),  # too early is nobody's: a no-show
        ([(0, 60, "RUN"), (60, 120, "FAULT")], 60),
        ([(0, 120, "UNKNOWN")], 0),
        ([(0, 120, "FAULT")], 0),
        ([(0, 120, "IDLE")], 60),
        ([], 60),
        ([(0, 60, "RUN"), (60, 120, "UNKNOWN")], 60),
        ([(0, 120, "RUN"), (20, 50, "FAULT")], 90),
        ([(0, 60, "RUN"), (0, 60, "RUN")], 60),
        ([(0, 130, "RUN")], 120),
        ([(0, 131, "RUN")], 120 + 22.5),
        ([(0, 300, "RUN")], 120 + 90),
        ([(0, 100, "RUN"), (130, 170, "RUN")], 105),  # run that begins after the end is not this booking's
    ],
)
def test_minutes_become_a_charge(pieces: list[tuple[float, float, str]], charge: float) -> None:
    assert charge_of(*pieces)["charge"] == int(charge)


@pytest.mark.parametrize(
    ("terms", "pieces", "charge", "billable"),
    [
        ({"basis": "booked"}, [(0, 30, "RUN")], 120, 120),
        ({"basis": "booked"}, [(0, 30, "RUN"), (30, 70, "FAULT")], 80, 80),
        ({"basis": "max"}, [(0, 30, "RUN"), (30, 70, "FAULT")], 80, 80),
        ({"basis": "max"}, [(0, 82, "RUN"), (82, 120, "FAULT")], 90, 90),
        ({"unused_rate": "0.5"}, [(0, 60, "RUN")], 90, 60),
        ({"unused_rate": "0.5"}, [(0, 60, "RUN"), (60, 80, "FAULT")], 80, 60),
        ({"increment_min": 1, "minimum_min": 0}, [(0, 7, "RUN")], 7, 7),
        ({"increment_min": 50}, [(0, 101, "RUN")], 120, 120),
        ({"grace_min": 0, "overtime_mult": "2"}, [(0, 121, "RUN")], 150, 120),
        ({"overtime_max_min": 30}, [(0, 180, "RUN")], 165, 120),
        ({"no_show_rate": "0.3"}, [], 36, 0),
    ],
)
def test_a_policy_changes_the_bill(
    terms: dict[str, Any], pieces: list[tuple[float, float, str]], charge: int, billable: int
) -> None:
    assert charge_of(*pieces, policy=terms) == {"charge": charge, "billable": billable}


def test_a_programme_pays_for_service_and_not_for_penalties() -> None:
    found = amounts(simulate(None, programmes=[{"kind": "voucher", "rate": "0.5"}]).as_json())
    assert (found["charge"], found["customer_pays"]) == (30000, 30000)


def test_bank_transfers_secure_nothing_and_remain_to_be_paid() -> None:
    found = amounts(simulate(97, funding="bank").as_json())
    assert (found["hold"], found["capture"], found["release"], found["remainder"]) == (0, 0, 0, 52500)


def test_less_than_the_provider_takes_goes_on_the_monthly_statement() -> None:
    found = amounts(simulate(30, price_per_hour=900).as_json())
    assert (found["customer_pays"], found["capture"], found["release"], found["remainder"]) == (450, 0, 2160, 450)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"start": "2026-03-10T09:00:00"}, "start"),
        ({"end": "2026-03-10T01:00:00Z"}, "end"),
        ({"price_per_hour": "300.00"}, "price_per_hour"),
        ({"price_per_hour": -1}, "price_per_hour"),
        ({"price_per_hour": {"minor": 1, "currency": "EUR"}}, "currency"),
        ({"currency": "QQQ"}, "currency"),
        ({"funding": "cash"}, "funding"),
        ({"class": "royal"}, "class"),
        ({"colour": 1}, "colour"),
        ({"use": [{"start": at(0), "end": at(1), "state": "WALK"}]}, "use[0].state"),
        ({"use": [1]}, "use[0]"),
        ({"policy": {"basis": "guess"}}, "policy.basis"),
        ({"policy": {"increment_min": 0}}, "policy.increment_min"),
        ({"policy": {"no_show_rate": 0.5}}, "policy.no_show_rate"),
        ({"policy": {"no_show_rate": "1.5"}}, "policy.no_show_rate"),
        ({"policy": {"unused_rate": "NaN"}}, "policy.unused_rate"),
        ({"policy": {"mood": 1}}, "policy.mood"),
        ({"policy": {"setup_billed": "yes"}}, "policy.setup_billed"),
        ({"policy": {"cancel_tiers": [{"rate": "0"}]}}, "policy.cancel_tiers[0]"),
        ({"policy": {"cancel_tiers": [{"hours": 1, "rate": "0"}, {"hours": 1, "rate": "1"}]}}, "policy.cancel_tiers"),
        ({"programmes": [{"kind": "gift", "rate": "0.5"}]}, "programmes[0].kind"),
        ({"cancelled_at": "yesterday"}, "cancelled_at"),
        ({"timezone": "Mars/Base"}, "timezone"),
    ],
)
def test_a_refusal_names_the_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        simulation.parse(a_request(**change))
    assert refusal.value.values["field"] == field


def test_the_answer_has_the_fields_of_the_contract() -> None:
    answer = simulate(97).as_json()
    assert set(answer) == {
        *("quote", "hold", "billable_min", "lines", "charge", "capture", "release", "refund", "remainder"),
        *("platform_fee", "transfer", "customer_pays"),
    }
    assert answer["lines"] == [{"code": "usage", "minutes": 105, "amount": {"minor": 52500, "currency": "CNY"}}]


rates = st.integers(0, 100).map(lambda percent: Fraction(percent, 100))
pieces = st.builds(
    lambda start, length, state: Piece(Slot(START + timedelta(seconds=start), START + timedelta(seconds=start + length)), state),
    st.integers(-3600, 12000),
    st.integers(1, 9000),
    st.sampled_from(UseState),
)
policies = st.builds(
    Policy,
    basis=st.sampled_from(policy.Basis),
    increment_min=st.integers(1, 60),
    minimum_min=st.integers(0, 90),
    grace_min=st.integers(0, 30),
    overtime_mult=st.integers(0, 300).map(lambda percent: Fraction(percent, 100)),
    overtime_max_min=st.integers(0, 90),
    unused_rate=rates,
    no_show_rate=rates,
    fee_rate=rates,
    cancel_tiers=st.lists(st.builds(Tier, rate=rates, hours=st.integers(0, 72).map(Fraction)), max_size=3).map(tuple),
)
currencies = st.sampled_from(["CNY", "JPY", "KWD"])


@st.composite
def requests(draw: st.DrawFn) -> Request:
    currency = draw(currencies)
    left = st.none() | st.integers(0, 100_000).map(lambda minor: Money(minor, currency))
    programme = st.builds(Programme, st.sampled_from(ProgrammeKind), rates, left)
    return Request(
        prices=PriceList(Money(draw(st.integers(0, 200_000)), currency)),
        slot=Slot(START, START + timedelta(minutes=draw(st.integers(1, 180)))),
        zone=UTC,
        policy=draw(policies),
        use=tuple(draw(st.lists(pieces, max_size=6))),
        funding=draw(st.sampled_from(Funding)),
        programmes=tuple(draw(st.lists(programme, max_size=3))),
        cancelled_at=draw(st.none() | st.just(START - timedelta(hours=30))),
    )


@pytest.mark.laws
@given(requests())
def test_every_bill_adds_up(request_: Request) -> None:
    bill = simulation.simulate(request_)
    settled, nothing = bill.settled, Money(0, bill.quote.currency)
    assert sum((line.amount for line in bill.lines), nothing) == settled.customer_pays
    assert nothing <= settled.customer_pays <= bill.charge.amount
    assert bill.charge.billable_min <= request_.slot.duration / timedelta(minutes=1)
    if request_.funding is Funding.CARD:
        assert settled.capture + settled.release == settled.hold
    assert settled.capture - settled.refund + settled.remainder == settled.customer_pays
    assert settled.transfer <= settled.customer_pays
    steps = [settled.capture, settled.refund, settled.remainder, settled.platform_fee, settled.transfer, bill.quote]
    assert all(amount.minor % STEPS.get(amount.currency, 1) == 0 for amount in steps)


@pytest.mark.laws
@given(requests())
def test_every_journal_closes(request_: Request) -> None:
    bill = simulation.simulate(request_)
    sums = ledger.balances(simulation.journal(bill))
    assert sum(sums.values()) == 0
    assert ledger.Account.AR not in sums
    assert ledger.Account.RIT not in sums
    assert ledger.Account.PREP not in sums


@given(policies)
def test_a_snapshot_reads_back_as_the_same_policy(terms: Policy) -> None:
    limits = [(tier.hours, tier.days) for tier in terms.cancel_tiers]
    if len(set(limits)) == len(limits):
        assert policy.parse(policy.as_json(terms)) == terms
