"""Handing over and exchanging over JSON: who may, what it answers, what it costs, and what nobody is told."""

from typing import Any

import pytest

from marketplace.ids import new_id
from tests.web.api.world import World, refused, span, tomorrow


def a_colleague(world: World, organisation: str | None = None) -> dict[str, str]:
    """{email, id, token} of another member of the firm, or of another one."""
    email = f"{new_id('p')}@example.com"
    memberships = [{"role": "member", "organisation_id": organisation or world.organisation}]
    made = world.made("/people", world.operator, {"email": email, "name": "王芳", "memberships": memberships})
    return {"email": email, "id": made["id"], "token": made["token"]}


def priced(world: World, yuan: int, **changes: Any) -> str:
    return world.a_resource(price_per_hour={"minor": yuan * 100, "currency": "CNY"}, **changes)


def booked(world: World, token: str, slot: dict[str, str], resource: str | None = None) -> dict[str, Any]:
    return world.made(f"/resources/{resource or world.resource}/bookings", token, slot)


def test_a_booking_is_handed_over_by_id_or_address(world: World) -> None:
    colleague, booking = a_colleague(world), world.a_booking()
    path = f"/bookings/{booking['id']}/hand-over"
    reply = world.post(path, world.member, key="give", json={"email": colleague["email"].upper()})
    assert (reply.status_code, reply.json()["version"]) == (200, 2)
    assert world.post(path, world.member, key="give", json={"email": colleague["email"].upper()}).json() == reply.json()
    refused(world.post(path, world.member, json={"person_id": colleague["id"]}), 403, "not_allowed")
    refused(world.post(path, colleague["token"], json={"person_id": colleague["id"]}), 422, "invalid")
    third = a_colleague(world)
    assert world.post(path, world.manager, json={"person_id": third["id"]}).status_code == 200


def test_nobody_learns_who_has_an_account(world: World) -> None:
    elsewhere, booking = a_colleague(world, world.an_organisation()), world.a_booking()
    path = f"/bookings/{booking['id']}/hand-over"
    answers = [
        world.post(path, world.member, json={"email": email}).json() for email in (elsewhere["email"], "nobody@example.com")
    ]
    assert answers[0] == answers[1]
    assert answers[0]["code"] == "not_a_colleague"
    refused(world.post(path, elsewhere["token"], json={"email": elsewhere["email"]}), 404)
    for body in ({}, {"email": elsewhere["email"], "person_id": "per_1"}, {"email": "no address"}):
        refused(world.post(path, world.member, json=body), 422, "malformed")


def test_ones_own_two_exchange_at_once_at_their_own_price(world: World) -> None:
    one, other = (booked(world, world.member, span(tomorrow(hour), hours)) for hour, hours in ((1, 2), (5, 3)))
    made = world.post(f"/bookings/{one['id']}/swap", world.member, json={"with_booking_id": other["id"]})
    assert (made.status_code, made.json()["state"]) == (201, "accepted")
    read = world.get(f"/bookings/{one['id']}", world.member).json()
    assert (read["start"], read["end"], read["quote"]["minor"]) == (other["start"], other["end"], 90000)
    assert world.get(f"/bookings/{other['id']}", world.member).json()["quote"]["minor"] == 60000


def test_what_was_accepted_for_a_machine_goes_with_its_time(world: World) -> None:
    dear = priced(world, 500)
    one, other = booked(world, world.member, span(tomorrow(1))), booked(world, world.member, span(tomorrow(1), 1), dear)
    world.post(f"/bookings/{one['id']}/swap", world.member, json={"with_booking_id": other["id"]})
    found = [world.get(f"/bookings/{row['id']}", world.member).json() for row in (one, other)]
    assert [(row["resource_id"], row["quote"]["minor"]) for row in found] == [(dear, 50000), (world.resource, 60000)]


def test_machines_are_not_exchanged_between_classes_of_customers(world: World) -> None:
    """Else the cheap one's price would go to whoever proposes it."""
    other = priced(world, 500, policy={"class_prices": {"academic": 100}})
    college = {"name": "理工学院", "is_sme": False, "customer_class": "academic"}
    holder = a_colleague(world, world.made("/organisations", world.operator, college)["id"])["token"]
    one, theirs = booked(world, world.member, span(tomorrow(1))), booked(world, holder, span(tomorrow(1)), other)
    swap = world.made(f"/bookings/{one['id']}/swap", world.member, {"with_booking_id": theirs["id"]})
    refused(world.post(f"/swaps/{swap['id']}/accept", holder), 422, "invalid")
    assert world.get(f"/bookings/{one['id']}", world.member).json()["resource_id"] == world.resource


def test_two_parties_exchange_once_the_other_accepts(world: World) -> None:
    rival = a_colleague(world, world.an_organisation())
    one, other = booked(world, world.member, span(tomorrow(1))), booked(world, rival["token"], span(tomorrow(5)))
    path = f"/bookings/{one['id']}/swap"
    made = world.post(path, world.member, json={"with_booking_id": other["id"]}).json()
    assert made["state"] == "proposed"
    gives = {"resource_id": world.resource, "start": one["start"], "end": one["end"]}
    assert (made["gives"], "gets" in made) == (gives, False)
    refused(world.post(path, world.member, json={"with_booking_id": other["id"]}), 409, "wrong_state")
    swap = f"/swaps/{made['id']}"
    for verb in ("accept", "decline"):
        refused(world.post(f"{swap}/{verb}", world.member), 403, "not_allowed")
    refused(world.post(f"{swap}/withdraw", rival["token"]), 403, "not_allowed")
    for verb in ("accept", "decline", "withdraw"):
        refused(world.post(f"{swap}/{verb}", world.a_person()), 404, "not_found")
        refused(world.post(f"{swap}/{verb}"), 401)
    told = world.get(f"/bookings/{other['id']}/swaps", rival["token"]).json()["items"]
    assert [row["id"] for row in told] == [made["id"]]
    gets = {"resource_id": world.resource, "start": other["start"], "end": other["end"]}
    assert (told[0]["gives"], told[0]["gets"]) == (gives, gets)
    refused(world.get(f"/bookings/{other['id']}/swaps", world.member), 404)
    done = world.post(f"{swap}/accept", rival["token"]).json()
    assert (done["state"], done["booking"]["start"]) == ("accepted", one["start"])
    assert world.get(f"/bookings/{one['id']}", world.member).json()["start"] == other["start"]
    refused(world.post(f"{swap}/accept", rival["token"]), 409, "wrong_state")


def test_nothing_of_the_others_booking_is_told_before_they_agree(world: World) -> None:
    quota = {"limit": 3, "unit": "hours", "per": "day", "by": "organisation"}
    machine, rival = world.a_resource(rules={"quotas": [quota]}), a_colleague(world, world.an_organisation())
    one, other = booked(world, world.member, span(tomorrow(1))), booked(world, rival["token"], span(tomorrow(5)), machine)
    path, own = f"/bookings/{one['id']}/swap", booked(world, world.member, span(tomorrow(9)), machine)
    barred = world.post(path, world.member, json={"with_booking_id": other["id"]})
    world.post(f"/bookings/{own['id']}/cancel", world.member)
    assert [reason["code"] for reason in refused(barred, 409, "swap_refused")["reasons"]] == ["own_side_refused"]
    made = world.post(path, world.member, json={"with_booking_id": other["id"]})
    listed = world.get(f"/bookings/{one['id']}/swaps", world.member)
    again = world.post(path, world.member, json={"with_booking_id": other["id"]})
    gone = world.post(f"/swaps/{made.json()['id']}/decline", rival["token"])
    world.post(f"/bookings/{other['id']}/cancel", rival["token"])
    over = world.post(path, world.member, json={"with_booking_id": other["id"]})
    assert (made.status_code, again.status_code, gone.status_code, over.status_code) == (201, 409, 200, 409)
    for reply in (barred, made, listed, again, over, world.get(f"/bookings/{one['id']}/swaps", world.member)):
        for secret in (machine, other["start"], other["end"], "quota", "cancelled"):
            assert secret not in reply.text, reply.text


@pytest.mark.parametrize(("verb", "state", "answers"), [("decline", "declined", "rival"), ("withdraw", "withdrawn", "member")])
def test_a_proposal_is_declined_or_withdrawn(world: World, verb: str, state: str, answers: str) -> None:
    rival = a_colleague(world, world.an_organisation())
    one, other = booked(world, world.member, span(tomorrow(1))), booked(world, rival["token"], span(tomorrow(5)))
    made = world.post(f"/bookings/{one['id']}/swap", world.member, json={"with_booking_id": other["id"]}).json()
    token = rival["token"] if answers == "rival" else world.member
    reply = world.post(f"/swaps/{made['id']}/{verb}", token)
    assert reply.json()["state"] == state
    assert "gets" not in reply.json()
    assert world.get(f"/bookings/{one['id']}", world.member).json()["version"] == 1


def test_a_stranger_proposes_nothing_and_what_is_not_there_is_not_found(world: World) -> None:
    booking = world.a_booking()
    refused(world.post(f"/bookings/{booking['id']}/swap", world.a_person(), json={"with_booking_id": booking["id"]}), 404)
    refused(world.post(f"/bookings/{booking['id']}/swap", world.member, json={"with_booking_id": "bk_of_nobody"}), 404)
    refused(world.post(f"/bookings/{booking['id']}/swap", world.member, json={"with_booking_id": booking["id"]}), 422, "invalid")
    technician = world.a_person("technician", institution_id=world.institution)
    other = world.a_booking(**span(tomorrow(9)))
    refused(world.post(f"/bookings/{booking['id']}/swap", technician, json={"with_booking_id": other["id"]}), 403)
