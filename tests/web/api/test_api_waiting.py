"""Waiting lists over HTTP: joined where time is taken, offered when it is freed, answered once; and what strangers get."""

from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from booking.waiting import actions as waiting
from marketplace import clock
from tests.web.api.world import World, fields, refused, span, tomorrow


def joined(world: World, token: str, **changes: Any) -> dict[str, Any]:
    return world.made(f"/resources/{world.resource}/waiting", token, {**span(tomorrow()), **changes})


def a_colleague(world: World) -> str:
    return world.a_person("member", organisation_id=world.organisation)


def place(world: World, token: str, entry: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = world.get(f"/waiting/{entry['id']}", token).json()
    return found


def test_what_is_cancelled_is_offered_and_accepted_at_the_quoted_price(world: World) -> None:
    booking, other = world.a_booking(), a_colleague(world)
    entry = joined(world, other, purpose="复测")
    assert (entry["state"], entry["position"], entry["minutes"], entry["offer"]) == ("waiting", 1, 120, None)
    world.post(f"/bookings/{booking['id']}/cancel", world.member)
    offered = place(world, other, entry)
    assert offered["state"] == "offered"
    assert {**span(tomorrow()), "until": offered["offer"]["until"]} == offered["offer"]
    window = {"from": span(tomorrow())["start"], "to": span(tomorrow())["end"]}
    busy = world.get(f"/resources/{world.resource}/availability", params=window)
    assert busy.json() == {"free": [], "busy": [{**span(tomorrow()), "kind": "offer"}]}
    refused(world.post(f"/resources/{world.resource}/bookings", world.member, json=span(tomorrow())), 409, "slot_taken")
    taken = world.post(f"/waiting/{entry['id']}/accept", other, key="k1")
    body = taken.json()
    assert (taken.status_code, body["state"], body["booking_id"]) == (200, "booked", body["booking"]["id"])
    assert body["booking"]["quote"] == {"minor": 60000, "currency": "CNY"}
    assert world.get(f"/bookings/{body['booking_id']}", other).json()["purpose"] == "复测"
    assert world.post(f"/waiting/{entry['id']}/accept", other, key="k1").json() == body
    assert refused(world.post(f"/waiting/{entry['id']}/accept", other), 409, "wrong_state")["reasons"][0]["state"] == "booked"


def test_every_way_of_freeing_time_offers_it(world: World) -> None:
    def moved(booking: dict[str, Any]) -> None:
        body, headers = span(tomorrow(days=3)), {"if-match": '"1"'}
        assert world.ask("PATCH", f"/bookings/{booking['id']}", token=world.member, json=body, headers=headers).status_code == 200

    def shifted(booking: dict[str, Any]) -> None:
        step = {"booking_id": booking["id"], "action": "shift", **span(tomorrow(days=4), 3)}
        outage = {**span(tomorrow(2), 1), "planned": True, "reason": "x", "plan": [step]}
        assert world.post(f"/resources/{world.resource}/outages", world.manager, json=outage).status_code == 201

    def cancelled(booking: dict[str, Any]) -> None:
        assert world.post(f"/bookings/{booking['id']}/cancel", world.member).status_code == 200

    for free in (cancelled, moved, shifted):
        world.resource, other = world.a_resource(), a_colleague(world)
        booking = world.a_booking(**span(tomorrow(0), 3))
        entry = joined(world, other, **span(tomorrow(0), 1.5))
        free(booking)
        assert place(world, other, entry)["state"] == "offered", free


def test_a_refused_request_is_offered_on(world: World) -> None:
    world.resource = world.a_resource(rules={"approval": "request"})
    booking, other = world.a_booking(), a_colleague(world)
    entry = joined(world, other)
    assert world.post(f"/bookings/{booking['id']}/refuse", world.manager).status_code == 200
    taken = world.post(f"/waiting/{entry['id']}/accept", other).json()
    assert taken["booking"]["state"] == "requested"


def test_declining_passes_on_and_withdrawing_leaves(world: World) -> None:
    booking, one, two = world.a_booking(), a_colleague(world), a_colleague(world)
    first, second = joined(world, one), joined(world, two)
    assert place(world, two, second)["position"] == 2
    world.post(f"/bookings/{booking['id']}/cancel", world.member)
    assert world.post(f"/waiting/{first['id']}/decline", one).json()["state"] == "declined"
    assert place(world, two, second)["state"] == "offered"
    assert world.post(f"/waiting/{second['id']}/withdraw", two).json()["state"] == "withdrawn"
    refused(world.post(f"/waiting/{second['id']}/decline", two), 409, "wrong_state")
    assert [row["state"] for row in world.get("/waiting", two).json()["items"]] == ["withdrawn"]


def test_an_offer_that_ran_out_is_refused_clearly_and_nothing_is_booked(world: World, client: TestClient) -> None:
    booking, other = world.a_booking(), a_colleague(world)
    entry = joined(world, other)
    world.post(f"/bookings/{booking['id']}/cancel", world.member)
    with client.app.state.sessions.begin() as session:  # type: ignore[attr-defined]
        waiting.lapse(session, now=clock.now() + timedelta(hours=2))
    body = refused(world.post(f"/waiting/{entry['id']}/accept", other), 409, "offer_over")
    assert "Nothing was booked" in body["detail"]
    assert world.get("/bookings", other).json()["items"] == world.get("/bookings", world.member).json()["items"]
    assert place(world, other, entry)["state"] == "lapsed"


def test_what_is_free_or_in_vain_is_not_waited_for(world: World) -> None:
    path = f"/resources/{world.resource}/waiting"
    body = refused(world.post(path, world.member, json=span(tomorrow())), 409, "free_now")
    assert body["alternatives"] == [span(tomorrow())]
    world.a_booking()
    joined(world, world.member)
    refused(world.post(path, world.member, json=span(tomorrow())), 409, "already_waiting")
    world.resource = world.a_resource(rules={"max_min": 60})
    world.a_booking(**span(tomorrow(), 1))
    path = f"/resources/{world.resource}/waiting"
    body = refused(world.post(path, world.member, json=span(tomorrow())), 409, "waiting_in_vain")
    assert [reason["code"] for reason in body["reasons"]] == ["too_long"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"end": span(tomorrow(), -1)["end"]}, "end"),
        ({"end": span(tomorrow(), 24 * 32)["end"]}, "end"),
        ({"minutes": 0}, "minutes"),
        ({"minutes": 500}, "minutes"),
        ({"hours": 0.001}, "hours"),
        ({"hours": 1, "minutes": 60}, "hours"),
        ({"quantity": 0}, "quantity"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_malformed_wish_is_refused_naming_the_field(world: World, change: dict[str, Any], field: str) -> None:
    reply = world.post(f"/resources/{world.resource}/waiting", world.member, json={**span(tomorrow()), **change})
    assert field in fields(refused(reply, 422))


def test_a_length_within_a_window_is_given_in_hours_or_minutes(world: World) -> None:
    world.a_booking(**span(tomorrow(0), 12))
    one = joined(world, world.member, **span(tomorrow(0), 12), hours=1.5)
    two = joined(world, world.member, **span(tomorrow(0), 12), minutes=60)
    assert (one["minutes"], two["minutes"]) == (90, 60)


def test_a_line_is_shown_to_its_publisher_and_a_place_to_nobody_else(world: World) -> None:
    world.a_booking()
    entry, path = joined(world, world.member), f"/resources/{world.resource}/waiting"
    (row,) = world.get(path, world.manager).json()["items"]
    assert (row["id"], row["position"], row["organisation_id"]) == (entry["id"], 1, world.organisation)
    refused(world.get(path, world.member), 403)
    refused(world.get(path), 401)
    for token in (a_colleague(world), world.manager):
        refused(world.get(f"/waiting/{entry['id']}", token), 404)
        for step in ("accept", "decline", "withdraw"):
            refused(world.post(f"/waiting/{entry['id']}/{step}", token), 404)
    refused(world.post(f"/resources/{world.resource}/waiting", json=span(tomorrow())), 401)
    refused(world.post("/resources/res_none/waiting", world.member, json=span(tomorrow())), 404)
    other = world.a_person("member", organisation_id=world.an_organisation())
    body = {**span(tomorrow()), "organisation_id": world.organisation}
    refused(world.post(f"/resources/{world.resource}/waiting", other, json=body), 403)


def test_the_publisher_says_how_long_an_offer_stands(world: World) -> None:
    world.resource = world.a_resource(rules={"offer_min": 15})
    booking, other = world.a_booking(), a_colleague(world)
    entry = joined(world, other)
    before = clock.now()
    world.post(f"/bookings/{booking['id']}/cancel", world.member)
    until = place(world, other, entry)["offer"]["until"]
    assert (before + timedelta(minutes=15)).isoformat() <= until <= (clock.now() + timedelta(minutes=15)).isoformat()
