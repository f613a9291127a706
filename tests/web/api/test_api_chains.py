"""Process chains over JSON: proposals that POST /bookings takes as they are, and why there are none."""

from datetime import timedelta
from typing import Any

import pytest

from marketplace.ids import new_id
from tests.web.api.world import World, fields, refused, span, tomorrow


def chain(world: World, *steps: dict[str, Any], hours: int = 48, **more: Any) -> dict[str, Any]:
    window = {"from": tomorrow(0).isoformat(), "until": tomorrow(hours).isoformat()}
    reply = world.post("/chains/proposals", world.member, json={"steps": steps, **window, **more})
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


def elsewhere(world: World, name: str, **listing: Any) -> str:
    """A machine of another house."""
    house = world.an_institution()
    manager = world.a_person("manager", institution_id=house)
    return str(world.made("/resources", manager, world.listing(institution_id=house, name=name, **listing))["id"])


def test_coat_then_anneal_then_xrd_across_houses_is_booked_as_proposed(world: World) -> None:
    coat, heat, look = (new_id("w").removeprefix("w_") for _ in range(3))
    coater, furnace = elsewhere(world, f"镀膜机 {coat}"), world.a_resource(name=f"退火炉 {heat}", step_min=60)
    xrd = elsewhere(world, f"衍射仪 {look}", price_per_hour={"minor": 12345, "currency": "CNY"})
    world.made(f"/resources/{furnace}/bookings", world.member, span(tomorrow(0), 6))
    steps = [{"q": coat, "minutes": 120}, {"q": heat, "minutes": 180, "gap_max": 60}, {"q": look, "minutes": 50, "gap_min": 30}]
    found = chain(world, *steps)
    first = found["proposals"][0]
    assert [part["resource_id"] for part in first["parts"]] == [coater, furnace, xrd]
    assert first["parts"][1]["start"] == tomorrow(6).isoformat()
    assert first["parts"][0]["start"] == tomorrow(3).isoformat()
    assert (first["institutions"], first["best"]) == (3, ["earliest", "cheapest", "fewest"])
    booked = world.made("/bookings", world.member, first["bundle"])
    assert [one["quote"] for one in booked["bookings"]] == [part["price"] for part in first["parts"]]
    assert booked["quotes"] == first["totals"]


def test_a_step_that_nothing_can_do_is_named(world: World) -> None:
    furnace, brief = world.a_resource(), world.a_resource(rules={"max_min": 30})
    world.made(f"/resources/{furnace}/bookings", world.member, span(tomorrow(0), 48))
    found = chain(
        world, {"q": "潜水艇", "minutes": 60}, {"resource_id": furnace, "minutes": 60}, {"resource_id": brief, "minutes": 60}
    )
    assert found["proposals"] == []
    assert [(one["step"], one["reason"]) for one in found["unserved"]] == [(0, "no_match"), (1, "no_time"), (2, "no_length")]


def test_steps_that_do_not_follow_each_other_in_the_window_are_told(world: World) -> None:
    first, second = world.a_resource(), world.a_resource()
    world.made(f"/resources/{first}/bookings", world.member, span(tomorrow(0), 4))
    world.made(f"/resources/{second}/bookings", world.member, span(tomorrow(4), 4))
    steps = [{"resource_id": one, "minutes": 180} for one in (first, second)]
    assert chain(world, *steps, hours=8)["why"] == "no_order"
    assert chain(world, *steps, budget={"minor": 5, "currency": "CNY"})["why"] == "over_budget"
    assert chain(world, *steps)["proposals"]


def test_the_preferred_district_comes_first_among_equals(world: World) -> None:
    word = new_id("w").removeprefix("w_")
    elsewhere(world, f"球磨机 {word}", district="高新区")
    near = elsewhere(world, f"球磨机 {word}", district="双流区")
    found = chain(world, {"q": word, "minutes": 60}, district="双流区")
    assert found["proposals"][0]["parts"][0]["resource_id"] == near


STEP = {"q": "x", "minutes": 60}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"steps": []}, "steps"),
        ({"steps": [STEP] * 9}, "steps"),
        ({"steps": [{"minutes": 60}]}, "steps.0.q"),
        ({"steps": [{"q": "x", "minutes": 0}]}, "steps.0.minutes"),
        ({"steps": [{**STEP, "gap_min": 60, "gap_max": 30}]}, "steps.0.gap_max"),
        ({"until": tomorrow(24 * 40).isoformat()}, "until"),
        ({"until": tomorrow(0).isoformat()}, "until"),
        ({"limit": 11}, "limit"),
    ],
)
def test_a_chain_that_makes_no_sense_is_refused(world: World, body: dict[str, Any], field: str) -> None:
    sound = {"steps": [STEP], "from": tomorrow(0).isoformat(), "until": tomorrow(8).isoformat()}
    assert field in fields(refused(world.post("/chains/proposals", world.member, json={**sound, **body}), 422))


def test_only_who_may_book_gets_proposals(world: World) -> None:
    body = {"steps": [STEP], "from": tomorrow(0).isoformat(), "until": tomorrow(8).isoformat()}
    refused(world.post("/chains/proposals", json=body), 401)
    refused(world.post("/chains/proposals", world.a_person(), json=body), 403)
    refused(world.post("/chains/proposals", world.member, json={**body, "organisation_id": world.an_organisation()}), 403)


def test_staff_are_offered_their_own_house_for_nothing(world: World) -> None:
    word = new_id("w").removeprefix("w_")
    own = world.a_resource(name=f"球磨机 {word}")
    elsewhere(world, f"球磨机 {word}")
    window = {"from": tomorrow(0).isoformat(), "until": (tomorrow(0) + timedelta(hours=8)).isoformat()}
    reply = world.post("/chains/proposals", world.manager, json={"steps": [{"q": word, "minutes": 60}], **window}).json()
    assert reply["proposals"]
    for proposal in reply["proposals"]:
        assert [(part["resource_id"], part["price"]["minor"]) for part in proposal["parts"]] == [(own, 0)]


def test_a_class_of_customers_is_proposed_and_found_at_its_own_price(world: World) -> None:
    word = new_id("w").removeprefix("w_")
    dear = {"minor": 90000, "currency": "CNY"}
    machine = world.a_resource(name=f"磨床 {word}", price_per_hour=dear, policy={"class_prices": {"academic": 20000}})
    college = {"name": "理工学院", "is_sme": False, "customer_class": "academic"}
    firm = world.made("/organisations", world.operator, college)["id"]
    who = world.a_person("member", organisation_id=firm)
    window = {"from": tomorrow(0).isoformat(), "until": tomorrow(48).isoformat()}
    budget = {"minor": 40000, "currency": "CNY"}
    body = {"steps": [{"q": word, "minutes": 120}], "budget": budget, **window}
    found = world.post("/chains/proposals", who, json=body).json()["proposals"][0]
    part = {name: found["parts"][0][name] for name in ("resource_id", "start", "end", "quantity")}
    assert (part["resource_id"], found["parts"][0]["price"]["minor"]) == (machine, 40000)
    query = {"q": word, "free_from": window["from"], "free_to": window["until"], "hours": "2", "budget": "40000"}
    assert [hit["cost"]["minor"] for hit in world.get("/resources", who, params=query).json()["items"]] == [40000]
    assert world.get("/resources", world.member, params=query).json()["items"] == []
    booked = world.made("/bookings", who, {"parts": [part]})
    assert [one["quote"]["minor"] for one in booked["bookings"]] == [40000]
