"""The worked cases, through the simulation: figures, journals, end balances."""

import json
from pathlib import Path
from typing import Any

import pytest

from billing import ledger, simulation

CASES = {
    case["id"]: case for case in json.loads((Path(__file__).parents[1] / "data/billing_cases.json").read_text())["scenarios"]
}


def a_request(minutes: int | None = 120, *, booked: int = 120, **values: Any) -> dict[str, Any]:
    """A slot at 09:00 used from its start for `minutes`."""
    clock = lambda m: f"2026-03-10T{9 + m // 60:02d}:{m % 60:02d}:00+08:00"  # noqa: E731
    use = [{"start": clock(0), "end": clock(minutes), "state": "RUN"}] if minutes else []
    base = {"price_per_hour": 30000, "currency": "CNY", "start": clock(0), "end": clock(booked), "use": use, "funding": "card"}
    return {**base, **values}


def simulate(minutes: int | None = 120, **values: Any) -> simulation.Simulation:
    return simulation.simulate(simulation.parse(a_request(minutes, **values)))


def amounts(answer: dict[str, Any]) -> dict[str, int]:
    return {name: value["minor"] for name, value in answer.items() if isinstance(value, dict)}


SUBSIDY = [{"kind": "subsidy", "rate": "0.3", "remaining": 12000}]
REQUESTS: dict[str, dict[str, Any]] = {
    "B01": {"minutes": 120},
    "B02": {"minutes": 97},
    "B05": {"minutes": 7, "booked": 60},
    "B07": {"minutes": 165},
    "B09": {"minutes": 97, "funding": "wallet"},
    "B12": {"minutes": None},
    "B13": {"minutes": None, "cancelled_at": "2026-03-09T03:00:00+08:00"},
    "B16": {"minutes": 97, "programmes": SUBSIDY},
    "B19": {"minutes": 50, "price_per_hour": 1000, "currency": "JPY", "policy": {"increment_min": 1}},
    "B22": {"minutes": 97},
    "B25": {"minutes": 97},
}
NAMES = {
    "captured": "capture",
    "released": "release",
    "remainder_charged": "remainder",
    "transfer_total": "transfer",
    "transfer_now": "transfer",
    "prepaid": "capture",
    "stripe_amount_to_capture": "capture",
}


@pytest.mark.parametrize("number", REQUESTS)
def test_a_worked_case_gives_its_figures(number: str) -> None:
    answer = simulate(**REQUESTS[number]).as_json()
    found = {**amounts(answer), "billable_min": answer["billable_min"]}
    expected = {NAMES.get(name, name): value for name, value in CASES[number]["expect"].items()}
    assert {name: found[name] for name in expected if name in found} == {k: v for k, v in expected.items() if k in found}


LATER = {"voucher_paid", "voucher_released", "bank_payout"}
"""Entries of B16 that follow when the programme has paid."""


@pytest.mark.parametrize("number", REQUESTS)
def test_a_worked_case_posts_its_journal(number: str) -> None:
    entries = simulation.journal(simulate(**REQUESTS[number]))
    posted = sorted((e.kind.value, sorted((a.value, v) for a, v in e.legs)) for e in entries)
    wanted = sorted((e["kind"], sorted(e["legs"].items())) for e in CASES[number]["journal"] if e["kind"] not in LATER)
    assert posted == wanted
    if number != "B16":
        assert {account.value: v for account, v in ledger.balances(entries).items()} == CASES[number]["end_balances"]


def test_eleven_minutes_of_overtime_are_billed_as_fifteen() -> None:
    assert amounts(simulate(131).as_json())["charge"] == 60000 + 11250


def test_ten_minutes_of_overtime_are_free() -> None:
    assert amounts(simulate(130).as_json())["charge"] == 60000


@pytest.mark.parametrize(
    ("cancelled", "fee"),
    [
        ("2026-03-08T09:00:00+08:00", 0),
        ("2026-03-08T09:00:01+08:00", 15000),
        ("2026-03-09T09:00:00+08:00", 15000),
        ("2026-03-09T09:00:01+08:00", 30000),
        ("2026-03-10T08:59:59+08:00", 30000),
        ("2026-03-10T01:00:00Z", 30000),
    ],
)
def test_exactly_at_a_cancellation_limit_is_in_time(cancelled: str, fee: int) -> None:
    assert amounts(simulate(None, cancelled_at=cancelled).as_json())["charge"] == fee


def test_after_the_start_the_use_decides_and_not_the_cancellation() -> None:
    assert amounts(simulate(97, cancelled_at="2026-03-10T10:00:00+08:00").as_json())["charge"] == 52500


@pytest.mark.parametrize(("tier", "charge"), [({"days": 1}, 0), ({"hours": 24}, 60000)])
def test_a_day_is_a_local_day_and_hours_are_elapsed(tier: dict[str, int], charge: int) -> None:
    """The clocks go forward on 2026-03-29: ten to ten is 23 hours."""
    tiers = [{**tier, "rate": "0"}, {"hours": 0, "rate": "1"}]
    answer = simulate(
        None,
        start="2026-03-29T10:00:00+02:00",
        end="2026-03-29T12:00:00+02:00",
        cancelled_at="2026-03-28T10:00:00+01:00",
        policy={"cancel_tiers": tiers},
    ).as_json()
    assert amounts(answer)["charge"] == charge


def test_kuwaiti_amounts_are_multiples_of_ten() -> None:
    found = amounts(simulate(50, price_per_hour=10000, currency="KWD", policy={"increment_min": 1}).as_json())
    assert (found["charge"], found["platform_fee"], found["transfer"]) == (8330, 670, 7660)


def test_yen_with_increment_fifteen() -> None:
    found = amounts(simulate(50, price_per_hour=1000, currency="JPY").as_json())
    assert (found["quote"], found["hold"], found["charge"], found["platform_fee"]) == (2000, 2400, 1000, 80)
