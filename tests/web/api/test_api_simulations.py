"""contract.md: a bill worked out for facts that somebody made up; nothing is stored."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from marketplace.db import Base
from tests.web.api.world import World, fields, refused

START, END = "2026-03-10T09:00:00+08:00", "2026-03-10T11:00:00+08:00"
AMOUNTS = {
    "quote",
    "hold",
    "charge",
    "capture",
    "release",
    "refund",
    "remainder",
    "platform_fee",
    "transfer",
    "customer_pays",
}


def asked(**changes: Any) -> dict[str, Any]:
    """Two hours at 300.00, of which 97 minutes ran."""
    return {
        "price_per_hour": 30000,
        "currency": "CNY",
        "start": START,
        "end": END,
        "use": [{"start": START, "end": "2026-03-10T10:37:00+08:00", "state": "RUN"}],
        **changes,
    }


def simulated(world: World, **changes: Any) -> dict[str, Any]:
    reply = world.post("/price-simulations", world.member, json=asked(**changes))
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


def yuan(minor: int) -> dict[str, Any]:
    return {"minor": minor, "currency": "CNY"}


def test_a_run_of_97_minutes_is_billed_as_105(world: World) -> None:
    found = simulated(world)
    assert set(found) == {*AMOUNTS, "billable_min", "lines"}
    assert (found["quote"], found["hold"], found["charge"]) == (yuan(60000), yuan(72000), yuan(52500))
    assert (found["capture"], found["release"], found["remainder"]) == (yuan(52500), yuan(19500), yuan(0))
    assert (found["platform_fee"], found["transfer"], found["customer_pays"]) == (yuan(4200), yuan(48300), yuan(52500))
    assert (found["billable_min"], found["lines"]) == (105, [{"code": "usage", "minutes": 105, "amount": yuan(52500)}])


def test_a_price_may_be_money(world: World) -> None:
    assert simulated(world, price_per_hour=yuan(30000)) == simulated(world)


def test_a_wallet_prepays_and_gets_the_rest_back(world: World) -> None:
    found = simulated(world, funding="wallet")
    assert (found["hold"], found["capture"], found["refund"]) == (yuan(0), yuan(60000), yuan(7500))


def test_a_bank_transfer_secures_nothing(world: World) -> None:
    found = simulated(world, funding="bank")
    assert (found["hold"], found["capture"], found["remainder"]) == (yuan(0), yuan(0), yuan(52500))


def test_a_voucher_pays_its_part_and_no_more_than_is_left(world: World) -> None:
    found = simulated(world, programmes=[{"kind": "voucher", "rate": "0.3", "remaining": 10000}])
    assert found["customer_pays"] == yuan(42500)
    assert found["lines"][-1] == {"code": "programme", "amount": yuan(-10000)}


def test_cancelling_within_a_day_costs_what_the_policy_says(world: World) -> None:
    tiers = {"cancel_tiers": [{"hours": 24, "rate": "0"}, {"hours": 0, "rate": "0.5"}]}
    found = simulated(world, policy=tiers, cancelled_at="2026-03-09T20:00:00+08:00", use=[])
    assert (found["charge"], [line["code"] for line in found["lines"]]) == (yuan(30000), ["cancellation"])
    assert simulated(world, policy=tiers, cancelled_at="2026-03-08T20:00:00+08:00", use=[])["charge"] == yuan(0)


def test_who_does_not_come_pays_for_it(world: World) -> None:
    assert [line["code"] for line in simulated(world, use=[])["lines"]] == ["no_show"]


def test_the_same_question_has_the_same_answer_and_nothing_is_stored(world: World, client: TestClient) -> None:
    def rows() -> dict[str, int]:
        with client.app.state.sessions() as session:  # type: ignore[attr-defined]
            tables = Base.metadata.sorted_tables
            return {table.name: session.scalar(select(func.count()).select_from(table)) for table in tables}

    before = rows()
    assert simulated(world) == simulated(world)
    assert rows() == before


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"surprise": 1}, "surprise"),
        ({"start": None}, "start"),
        ({"start": "2026-03-10T09:00:00"}, "start"),
        ({"start": 1773000000}, "start"),
        ({"end": START}, "end"),
        ({"end": "2028-03-10T09:00:00+08:00"}, "end"),
        ({"price_per_hour": -1}, "price_per_hour"),
        ({"price_per_hour": 1.5}, "price_per_hour"),
        ({"price_per_hour": True}, "price_per_hour"),
        ({"price_per_hour": {"minor": 1, "currency": "JPY"}}, "currency"),
        ({"currency": "QQQ"}, "currency"),
        ({"currency": None}, "currency"),
        ({"use": {}}, "use"),
        ({"use": [{"start": START, "end": END, "state": "DANCE"}]}, "use[0].state"),
        ({"use": [{"start": END, "end": START, "state": "RUN"}]}, "use[0].end"),
        ({"funding": "gold"}, "funding"),
        ({"class": "royal"}, "class"),
        ({"quantity": 0}, "quantity"),
        ({"programmes": [{"kind": "voucher", "rate": "1.5"}]}, "programmes[0].rate"),
        ({"programmes": [{"kind": "voucher", "rate": 0.5}]}, "programmes[0].rate"),
        ({"timezone": "../../etc/passwd"}, "timezone"),
        ({"policy": [1]}, "policy"),
        ({"policy": "strict"}, "policy"),
        ({"policy": ""}, "policy"),
        ({"policy": 0}, "policy"),
        ({"policy": {"unused_rate": "0_5"}}, "policy.unused_rate"),
        ({"policy": {"unused_rate": "０.５"}}, "policy.unused_rate"),
        ({"price_per_hour": {"minor": 1, "currency": "CNY", "tax": 1}}, "price_per_hour.tax"),
        ({"use": [{"start": START, "end": END, "state": "RUN", "power": 1}]}, "use[0].power"),
        ({"programmes": [{"kind": "voucher", "rate": "0.5", "cap": 100}]}, "programmes[0].cap"),
        ({"start": "0001-01-01T00:00:00Z", "end": "0001-01-01T02:00:00Z"}, "start"),
        ({"end": "9999-12-31T23:00:00Z"}, "end"),
        ({"cancelled_at": "0001-01-01T00:00:00Z"}, "cancelled_at"),
        ({"policy": {"no_such": 1}}, None),
        ({"policy": {"increment_min": 0}}, None),
        ({"policy": {"cancel_tiers": [{"hours": 24, "rate": "NaN"}]}}, None),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_naming_the_field(
    world: World, change: dict[str, Any], field: str | None
) -> None:
    body = refused(world.post("/price-simulations", world.member, json=asked(**change)), 422, "invalid")
    assert field is None or fields(body) == {field}


@pytest.mark.parametrize("body", ["[]", "null", '"x"', "{", "", '{"currency": "CNY", "price_per_hour": ' + "9" * 5000 + "}"])
def test_what_is_no_question_is_malformed(world: World, body: str) -> None:
    headers = {"content-type": "application/json"}
    refused(world.post("/price-simulations", world.member, content=body, headers=headers), 422, "malformed")


def test_a_name_that_no_text_can_hold_is_refused_all_the_same(world: World) -> None:
    headers = {"content-type": "application/json"}
    refused(world.post("/price-simulations", world.member, content='{"\\ud800": 1}', headers=headers), 422, "invalid")


def test_only_who_is_known_may_ask(world: World) -> None:
    refused(world.post("/price-simulations", json=asked()), 401, "not_signed_in")
    assert world.post("/price-simulations", world.a_person(), json=asked()).status_code == 200


NIGHT = {"window": {"weekdays": [1], "from": "10:00", "to": "22:00"}, "price": 20000}


def test_a_tariff_and_a_tax_are_simulated_as_they_are_billed(world: World) -> None:
    policy = {"tariff": [NIGHT], "tax": {"rate": "0.13", "mode": "added"}, "setup_billed": True}
    found = simulated(world, policy=policy, timezone="Asia/Shanghai", setup_min=30)
    assert found["lines"] == [
        {"code": "usage", "minutes": 60, "price_per_hour": yuan(30000), "amount": yuan(30000)},
        {"code": "usage", "minutes": 45, "price_per_hour": yuan(20000), "amount": yuan(15000)},
        {"code": "setup", "minutes": 30, "price_per_hour": yuan(30000), "amount": yuan(15000)},
        {"code": "tax", "rate": "0.13", "tax": yuan(7800), "amount": yuan(7800)},
    ]
    assert (found["charge"], found["tax"], found["platform_fee"]) == (yuan(67800), yuan(7800), yuan(4800))


def test_two_rules_of_which_none_goes_first_are_refused_by_the_later_one(world: World) -> None:
    helped = {"assisted": True, "price": 45000}
    body = refused(world.post("/price-simulations", world.member, json=asked(policy={"tariff": [NIGHT, helped]})), 422, "invalid")
    assert fields(body) == {"policy.tariff[1]"}
    assert "rows 1 and 2 name equally many conditions" in str(body)


def test_presets_say_where_they_are_from_and_are_policies_at_the_price_that_is_asked_for(world: World) -> None:
    items = world.get("/price-presets?price_per_hour=50000&currency=CNY", world.member).json()["items"]
    assert len(items) >= 6
    for one in items:
        assert one["source"].startswith("http")
        simulated(world, policy=one["policy"], price_per_hour=50000)
    by_key = {one["key"]: one for one in items}
    assert by_key["ntnu-diffraction"]["policy"]["class_prices"] == {"internal": 15000, "academic": 25000}
    assert by_key["ntnu-diffraction"]["dated"] == "2023-01-01"
    refused(world.get("/price-presets"), 401, "not_signed_in")
    refused(world.get("/price-presets?currency=QQQ", world.member), 422, "invalid")
