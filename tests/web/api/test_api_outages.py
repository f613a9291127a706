"""Outages and absences over JSON that end earlier or are withdrawn: by whom, what is told, and what is free then."""

from datetime import timedelta
from typing import Any

import pytest

from marketplace import clock
from marketplace.ids import new_id
from tests.web.api.world import World, fields, refused, span, tomorrow


def entered(world: World, **changes: Any) -> dict[str, Any]:
    body = {**span(tomorrow(0), 8), "planned": True, "reason": "保养", **changes}
    return world.made(f"/resources/{world.resource}/outages", world.manager, body)


def free(world: World) -> Any:
    window = {"from": tomorrow(0).isoformat(), "to": tomorrow(8).isoformat()}
    return world.get(f"/resources/{world.resource}/availability", params=window).json()["free"]


def on_now(world: World) -> dict[str, Any]:
    start = clock.now().replace(microsecond=0) - timedelta(hours=1)
    return entered(world, **span(start, 9))


def test_the_staff_see_which_and_why_and_others_only_when(world: World) -> None:
    second = entered(world, **span(tomorrow(20), 2))
    first = entered(world)
    path = f"/resources/{world.resource}/outages"
    listed = world.get(path, world.manager).json()
    assert [one["id"] for one in listed["items"]] == [first["id"], second["id"]]
    assert listed["next_cursor"] is None
    told = listed["items"][0]
    assert (told["reason"], told["planned"], told["start"], told["ended_at"]) == ("保养", True, first["start"], None)
    for token in (None, world.member):
        assert world.get(path, token, params={"limit": 1}).json() == {"items": [span(tomorrow(0), 8)], "next_cursor": "1"}
    refused(world.get("/resources/res_none/outages", world.manager), 404, "not_found")


def test_one_that_is_on_is_over_once(world: World) -> None:
    outage = on_now(world)
    assert world.get(f"/resources/{world.resource}/status").json()["state"] == "maintenance"
    path = f"/outages/{outage['id']}/end"
    done = world.post(path, world.manager, key="e")
    body = done.json()
    assert (done.status_code, body["start"], body["planned"]) == (200, outage["start"], False)
    assert body["end"] <= (clock.now() + timedelta(minutes=1)).isoformat()
    assert body["ended_at"] <= clock.now().isoformat()
    assert world.post(path, world.manager, key="e").json() == body
    refused(world.post(path, world.manager), 409, "wrong_state")
    refused(world.post(path, world.manager, json={"end": outage["start"]}), 422, "invalid")
    refused(world.post(f"/outages/{outage['id']}/withdraw", world.manager), 409, "wrong_state")


def test_one_that_is_over_is_refused(world: World) -> None:
    start = clock.now().replace(microsecond=0) - timedelta(hours=3)
    outage = entered(world, **span(start, 1))
    for step in ("end", "withdraw"):
        refused(world.post(f"/outages/{outage['id']}/{step}", world.manager), 409, "wrong_state")
    assert world.get(f"/resources/{world.resource}/outages", world.manager).json()["items"] == []


def test_one_to_come_ends_earlier_and_is_not_lengthened(world: World) -> None:
    outage = entered(world)
    path = f"/outages/{outage['id']}/end"
    assert free(world) == []
    done = world.post(path, world.manager, json={"end": tomorrow(3).isoformat()})
    assert (done.status_code, done.json()["end"]) == (200, tomorrow(3).isoformat())
    assert free(world) == [span(tomorrow(3), 5)]
    longer = refused(world.post(path, world.manager, json={"end": tomorrow(4).isoformat()}), 422, "invalid")
    assert fields(longer) == {"end"}
    assert "enter another outage" in longer["detail"]
    sooner = refused(world.post(path, world.manager), 409, "wrong_state")
    assert "Withdraw it" in sooner["detail"]
    assert free(world) == [span(tomorrow(3), 5)]


def test_one_to_come_is_withdrawn_and_gone_and_what_its_plan_did_stays(world: World) -> None:
    booked = world.a_booking(**span(tomorrow(1)))
    outage = entered(world, plan="cancel")
    path = f"/outages/{outage['id']}/withdraw"
    done = world.post(path, world.manager, key="w")
    assert (done.status_code, done.json()["id"]) == (200, outage["id"])
    assert world.post(path, world.manager, key="w").json() == done.json()
    refused(world.post(path, world.manager), 404, "not_found")
    assert free(world) == [span(tomorrow(0), 8)]
    assert world.get(f"/bookings/{booked['id']}", world.member).json()["state"] == "cancelled"


@pytest.mark.parametrize("step", ["end", "withdraw"])
def test_only_those_who_may_enter_one_change_it(world: World, step: str) -> None:
    outage = entered(world)
    path = f"/outages/{outage['id']}/{step}"
    finance = world.a_person("finance", institution_id=world.institution)
    elsewhere = world.a_person("manager", institution_id=world.an_institution())
    refused(world.post(path), 401, "not_signed_in")
    refused(world.post(path, finance), 403, "not_allowed")
    for token in (world.member, elsewhere):
        refused(world.post(path, token), 404, "not_found")
    assert free(world) == []


def test_an_absence_ends_earlier_and_one_to_come_is_withdrawn(world: World) -> None:
    memberships = [{"role": "technician", "institution_id": world.institution}]
    email = f"{new_id('p')}@example.com"
    person = world.made("/people", world.operator, {"email": email, "name": "王师傅", "memberships": memberships})
    operator = world.made(f"/institutions/{world.institution}/operators", world.manager, {"person_id": person["id"]})
    path = f"/operators/{operator['id']}/absences"
    away = world.made(path, world.manager, {**span(tomorrow(0), 8), "reason": "病假"})
    resource = world.a_resource(rules={"assistance": {"mode": "required"}})
    book = f"/resources/{resource}/bookings"
    refused(world.post(book, world.member, json=span(tomorrow(5))), 409)
    refused(world.get(path, world.member), 404, "not_found")
    (listed,) = world.get(path, world.manager).json()["items"]
    assert (listed["id"], listed["reason"]) == (away["id"], "病假")
    assert world.post(f"/outages/{away['id']}/end", world.manager, json={"end": tomorrow(5).isoformat()}).status_code == 200
    world.made(book, world.member, span(tomorrow(5)))
    refused(world.post(book, world.member, json=span(tomorrow(1))), 409)
    assert world.post(f"/outages/{away['id']}/withdraw", world.manager).status_code == 200
    world.made(book, world.member, span(tomorrow(1)))
    assert world.get(path, world.manager).json()["items"] == []


def test_an_empty_plan_was_seen_before_a_booking_came_and_is_refused(world: World) -> None:
    path = f"/resources/{world.resource}/outages"
    body = {**span(tomorrow(0), 8), "planned": True, "reason": "保养"}
    seen = world.post(f"{path}?dry_run=true", world.manager, json=body).json()["affected"]
    assert seen == []
    booked = world.a_booking(**span(tomorrow(1)))
    late = refused(world.post(path, world.manager, json={**body, "plan": seen}), 422, "invalid")
    assert fields(late) == {"plan"}
    assert world.get(path, world.manager).json()["items"] == []
    kept = world.made(path, world.manager, body)["affected"]
    assert [(one["booking_id"], one["proposal"]["action"]) for one in kept] == [(booked["id"], "keep")]
