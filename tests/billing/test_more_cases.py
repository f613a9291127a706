"""Worked cases of tariffs, taxes and billed buffers, through the simulation: figures, lines, journals, refusals."""

import json
from pathlib import Path
from typing import Any

import pytest

from billing import ledger, simulation
from marketplace.refusals import Invalid
from tests.billing.test_cases import amounts

CASES = json.loads((Path(__file__).parents[1] / "data/billing_more.json").read_text())["scenarios"]
BILLED = [case for case in CASES if "refused" not in case]


def simulated(case: dict[str, Any]) -> simulation.Simulation:
    return simulation.simulate(simulation.parse(case["request"]))


def line(told: dict[str, Any]) -> dict[str, Any]:
    names = {"amount": "amount", "price_per_hour": "hour", "tax": "tax"}
    found = {ours: told[name]["minor"] for name, ours in names.items() if name in told}
    return {"code": told["code"], **({"minutes": told["minutes"]} if "minutes" in told else {}), **found}


@pytest.mark.parametrize("case", BILLED, ids=lambda case: str(case["id"]))
def test_a_further_case_gives_its_figures(case: dict[str, Any]) -> None:
    answer = simulated(case).as_json()
    found = {**amounts(answer), "billable_min": answer["billable_min"]}
    assert {name: found[name] for name in case["expect"]} == case["expect"]


@pytest.mark.parametrize("case", [case for case in BILLED if "lines" in case], ids=lambda case: str(case["id"]))
def test_a_further_case_gives_its_lines(case: dict[str, Any]) -> None:
    assert [line(told) for told in simulated(case).as_json()["lines"]] == case["lines"]


@pytest.mark.parametrize("case", [case for case in BILLED if "journal" in case], ids=lambda case: str(case["id"]))
def test_a_further_case_posts_its_journal(case: dict[str, Any]) -> None:
    entries = simulation.journal(simulated(case))
    posted = sorted((e.kind.value, sorted((a.value, v) for a, v in e.legs)) for e in entries)
    assert posted == sorted((e["kind"], sorted(e["legs"].items())) for e in case["journal"])
    assert {account.value: v for account, v in ledger.balances(entries).items()} == case["end_balances"]


@pytest.mark.parametrize("case", [case for case in CASES if "refused" in case], ids=lambda case: str(case["id"]))
def test_rules_of_which_none_goes_first_are_refused_with_both_rows(case: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refusal:
        simulated(case)
    assert {name: refusal.value.values[name] for name in case["refused"]} == case["refused"]
