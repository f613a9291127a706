"""Retiring over JSON: refused with what lies ahead, until the caller says what becomes of it."""

from typing import Any

import pytest

from tests.web.api.world import World, refused, span, tomorrow


def retired(world: World, token: str = "", **more: Any) -> Any:
    return world.post(f"/resources/{world.resource}/retire", token or world.manager, **more)


def state(world: World, booking: dict[str, Any]) -> str:
    return str(world.get(f"/bookings/{booking['id']}", world.member).json()["state"])


def test_what_nobody_counts_on_is_retired_at_once(world: World) -> None:
    assert retired(world).json()["state"] == "retired"
    refused(retired(world), 409, "wrong_state")


@pytest.mark.parametrize(("plan", "ends_as"), [("keep", "confirmed"), ("cancel", "cancelled"), ("proposed", "cancelled")])
def test_bookings_ahead_are_counted_until_a_plan_is_named(world: World, plan: str, ends_as: str) -> None:
    booking = world.a_booking()
    body = {**span(tomorrow(days=8)), "rrule": "FREQ=WEEKLY;COUNT=2"}
    world.made(f"/resources/{world.resource}/booking-series", world.member, body)
    told = refused(retired(world), 409, "lies_ahead")
    [reason] = told["reasons"]
    assert {name: reason[name] for name in ("bookings", "requests", "series", "offers", "waiting")} == {
        "bookings": 3,
        "requests": 0,
        "series": 1,
        "offers": 0,
        "waiting": 0,
    }
    assert "plan" in told["detail"]
    assert state(world, booking) == "confirmed"
    done = retired(world, json={"plan": plan}, key="once")
    assert (done.status_code, done.json()["state"]) == (200, "retired")
    assert retired(world, json={"plan": plan}, key="once").json() == done.json()
    assert state(world, booking) == ends_as
    refused(retired(world, json={"plan": plan}), 409, "wrong_state")


def test_a_dry_run_proposes_a_step_for_each_which_may_be_sent_back(world: World) -> None:
    other = world.a_resource()
    booking = world.a_booking()
    dry = retired(world, params={"dry_run": True})
    assert dry.status_code == 200
    assert dry.json()["ahead"] == {"bookings": 1, "requests": 0, "series": 0, "offers": 0, "waiting": 0}
    [step] = dry.json()["affected"]
    assert (step["booking_id"], step["proposal"]["action"], step["proposal"]["resource_id"]) == (booking["id"], "move", other)
    assert world.get(f"/resources/{world.resource}").json()["state"] == "published"
    refused(retired(world, json={"plan": []}), 422, "invalid")
    shift = {"action": "shift", **span(tomorrow(5))}
    refused(retired(world, json={"plan": [{"booking_id": booking["id"], **shift}]}), 422, "invalid")
    assert retired(world, json={"plan": dry.json()["affected"]}).status_code == 200
    assert world.get(f"/bookings/{booking['id']}", world.member).json()["resource_id"] == other


def test_only_the_publisher_asks(world: World) -> None:
    world.a_booking()
    technician = world.a_person("technician", institution_id=world.institution)
    refused(retired(world, world.member), 403, "not_allowed")
    for token in (technician, world.member):
        refused(retired(world, token, params={"dry_run": True}), 403, "not_allowed")
    refused(world.post(f"/resources/{world.resource}/retire"), 401, "not_signed_in")
