"""Search by time and budget over JSON: what is found can be booked as it is told, by the one who asked."""

from datetime import datetime, timedelta

import pytest

from marketplace.ids import new_id
from tests.web.api.world import YUAN_300, World, refused, span, tomorrow

DAILY = [{"weekday": day, "open": "08:00", "close": "20:00"} for day in range(7)]


def ask(world: World, token: str | None = None, *, hours: str = "2", days: int = 2, **more: object) -> dict[str, object]:
    query = {"free_from": tomorrow(0).isoformat(), "free_to": tomorrow(0, days=1 + days).isoformat(), "hours": hours, **more}
    reply = world.get("/resources", token, params=query)
    assert reply.status_code == 200, reply.text
    found: dict[str, object] = reply.json()
    return found


def test_the_first_slot_of_every_hit_is_granted_and_costs_what_was_told(world: World) -> None:
    chain = new_id("c")
    rules = {"setup_min": 30, "cleaning_min": 30, "min_min": 60, "notice_min": 600}
    made = [world.a_resource(chain=chain, step_min=step, hours=DAILY, rules=rules) for step in (15, 45, 60)]
    for place, start in zip(made, (0, 1, 3), strict=True):
        world.post(f"/resources/{place}/bookings", world.member, json=span(tomorrow(start), 3))
    hits = ask(world, world.member, chain=chain, hours="3")["items"]
    assert {hit["id"] for hit in hits} == set(made)  # type: ignore[attr-defined]
    for hit in hits:  # type: ignore[attr-defined]
        booked = world.made(f"/resources/{hit['id']}/bookings", world.member, hit["first_free"])
        assert booked["quote"] == hit["cost"] == {"minor": 90000, "currency": "CNY"}


def test_a_search_by_time_leaves_out_whom_it_is_not_for(world: World) -> None:
    chain = new_id("c")
    open_to = {group: world.a_resource(chain=chain, rules={"audience": [{"group": group}]}) for group in ("own", "industry")}
    for token, group in ((None, "industry"), (world.member, "industry"), (world.manager, "own")):
        assert [hit["id"] for hit in ask(world, token, chain=chain)["items"]] == [open_to[group]]  # type: ignore[attr-defined]


def test_what_one_has_already_counts_towards_the_quota(world: World) -> None:
    chain, quota = new_id("c"), {"limit": 1, "unit": "count", "per": "week", "by": "organisation"}
    place = world.a_resource(chain=chain, rules={"quotas": [quota], "horizon_days": 4})
    assert ask(world, world.member, chain=chain, days=1)["total"] == 1
    world.made(f"/resources/{place}/bookings", world.member, span(tomorrow(20), 1))
    assert ask(world, world.member, chain=chain, days=1)["total"] == (1 if tomorrow(16).weekday() == 6 else 0)
    assert ask(world, None, chain=chain, days=1)["total"] == 1


def test_the_budget_is_for_all_of_the_hours(world: World) -> None:
    chain = new_id("c")
    cheap = world.a_resource(chain=chain, price_per_hour={"minor": 10000, "currency": "CNY"})
    dear = world.a_resource(chain=chain, price_per_hour=YUAN_300)
    world.a_resource(chain=chain, price_per_hour={"minor": 1, "currency": "EUR"})
    for budget, found in ((60000, {cheap, dear}), (59999, {cheap}), (19999, set())):
        hits = ask(world, chain=chain, budget=budget)["items"]
        assert {hit["id"] for hit in hits} == found  # type: ignore[attr-defined]


def test_hits_can_be_sorted_by_when_they_are_free(world: World) -> None:
    chain = new_id("c")
    late, early = (world.a_resource(chain=chain, name=name) for name in ("a", "b"))
    world.made(f"/resources/{late}/bookings", world.member, span(tomorrow(0), 4))
    found = ask(world, chain=chain, sort="earliest")["items"]
    assert [hit["id"] for hit in found] == [early, late]  # type: ignore[attr-defined]
    starts = [datetime.fromisoformat(hit["first_free"]["start"]) for hit in found]  # type: ignore[attr-defined]
    assert starts == [tomorrow(0), tomorrow(4)]


def test_where_nothing_is_free_the_nearest_is_told(world: World) -> None:
    chain = new_id("c")
    place = world.a_resource(chain=chain)
    world.made(f"/resources/{place}/bookings", world.member, span(tomorrow(0), 24))
    found = ask(world, chain=chain, days=1)
    assert found["items"] == []
    assert found["nearest"] == {"resource_id": place, **_utc(tomorrow(24), 2)}


def _utc(start: datetime, hours: int) -> dict[str, str]:
    return {"start": start.isoformat(), "end": (start + timedelta(hours=hours)).isoformat()}


def test_without_a_time_each_hit_says_when_it_is_free_first(world: World) -> None:
    chain = new_id("c")
    world.a_resource(chain=chain, step_min=60, rules={"min_min": 120, "notice_min": 2880})
    (hit,) = world.get("/resources", params={"chain": chain}).json()["items"]
    first = {edge: datetime.fromisoformat(hit["first_free"][edge]) for edge in ("start", "end")}
    assert first["end"] - first["start"] == timedelta(hours=2)
    assert "cost" not in hit


@pytest.mark.parametrize("asked", [{"hours": "0.00001"}, {"quantity": 0}, {"budget": -1}, {"currency": "ABC"}])
def test_a_time_that_makes_no_sense_is_refused(world: World, asked: dict[str, object]) -> None:
    refused(world.get("/resources", params={"free_from": tomorrow().isoformat(), **asked}), 422)


def test_nobody_asks_for_an_organisation_that_is_not_theirs(world: World) -> None:
    other = world.an_organisation()
    query = {"free_from": tomorrow().isoformat(), "organisation_id": other}
    refused(world.get("/resources", world.member, params=query), 403)
    refused(world.get("/resources", params=query), 403)
    assert world.get("/resources", world.operator, params=query).status_code == 200
