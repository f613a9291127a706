"""Series over JSON: edited with their version, their gaps booked later, told once; and what strangers get."""

from typing import Any

import pytest

from tests.web.api.world import World, fields, refused, span, tomorrow


def a_series(world: World, **changes: Any) -> dict[str, Any]:
    body = {**span(tomorrow(1)), "rrule": "FREQ=DAILY;COUNT=5", **changes}
    return world.made(f"/resources/{world.resource}/booking-series", world.member, body)


def edit(world: World, made: dict[str, Any], token: str | None = None, version: int | None = 1, **body: Any) -> Any:
    headers = {"if-match": f'"{version}"'} if version is not None else {}
    asked = {"scope": "all", **span(tomorrow(3)), **body}
    path = f"/booking-series/{made['id']}"
    return world.ask("PATCH", path, token=token or world.member, json=asked, headers=headers)


def test_an_edit_needs_the_version_that_was_read_and_answers_with_the_next(world: World) -> None:
    made = a_series(world)
    read = world.get(f"/booking-series/{made['id']}", world.member)
    assert read.headers["etag"] == '"1"'
    refused(edit(world, made, version=None), 428, "precondition_required")
    reply = edit(world, made)
    assert reply.status_code == 200, reply.text
    assert reply.headers["etag"] == '"2"'
    assert [one["start"] for one in reply.json()["bookings"]] == [span(tomorrow(3, days=day))["start"] for day in range(1, 6)]
    assert reply.json()["quotes"] == [{"minor": 5 * 60000, "currency": "CNY"}]
    refused(edit(world, made), 412, "stale")


def test_a_member_books_a_thousand_days_where_the_publisher_opens_them(world: World) -> None:
    open_for = {"horizon_days": 1830}
    resource = world.a_resource(rules=open_for)
    body = {**span(tomorrow(1)), "rrule": "FREQ=DAILY;COUNT=1000"}
    reply = world.post(f"/resources/{resource}/booking-series", world.member, json=body)
    assert reply.status_code == 201, reply.text
    assert len(reply.json()["bookings"]) == 1000
    wrong = world.post("/resources", world.manager, json=world.listing(rules={"horizon_days": 1831}))
    refused(wrong, 422, "malformed")


def test_this_and_the_following_are_split_off_at_the_price_of_acceptance(world: World) -> None:
    made = a_series(world)
    third = made["bookings"][2]["id"]
    etag = world.get(f"/resources/{world.resource}").headers["etag"]
    dear = world.listing(price_per_hour={"minor": 90000, "currency": "CNY"})
    headers = {"if-match": etag}
    assert world.ask("PUT", f"/resources/{world.resource}", token=world.manager, json=dear, headers=headers).status_code == 200
    body = {"scope": "this_and_following", "from": third, **span(tomorrow(2, days=3), 3)}
    told = edit(world, made, **body).json()
    assert told["split_from"] == made["id"]
    assert [one["id"] for one in told["bookings"]] == [one["id"] for one in made["bookings"][2:]]
    assert {one["quote"]["minor"] for one in told["bookings"]} == {90000}
    first = world.get(f"/booking-series/{made['id']}", world.member).json()
    assert (first["rrule"], first["version"], len(first["bookings"])) == ("FREQ=DAILY;COUNT=2", 2, 2)
    grown = edit(world, told, **span(tomorrow(2, days=3), 3), rrule="FREQ=DAILY;COUNT=4").json()
    assert [one["quote"]["minor"] for one in grown["bookings"]] == [90000, 90000, 90000, 270000]
    shrunk = edit(world, told, version=2, **span(tomorrow(2, days=3), 3), rrule="FREQ=DAILY;COUNT=1").json()
    assert {one["state"] for one in shrunk["cancelled"]} == {"cancelled"}
    assert [one["fee"]["currency"] for one in shrunk["cancelled"]] == ["CNY"] * 3


def test_gaps_are_booked_once_they_are_free(world: World) -> None:
    rival = world.a_booking(**span(tomorrow(1, days=3)))
    made = a_series(world, on_conflict="skip")
    path = f"/booking-series/{made['id']}/gaps"
    refused(world.post(path, world.member), 409, "slot_taken")
    world.post(f"/bookings/{rival['id']}/cancel", world.member)
    refused(world.post(path, world.member, json={"starts": [span(tomorrow(1, days=4))["start"]]}), 422, "invalid")
    reply = world.post(path, world.member, key="fill", json={"starts": [span(tomorrow(1, days=3))["start"]]})
    assert [one["start"] for one in reply.json()["bookings"]] == [span(tomorrow(1, days=3))["start"]]
    assert reply.json()["bookings"][0]["quote"] == {"minor": 60000, "currency": "CNY"}
    again = world.post(path, world.member, key="fill", json={"starts": [span(tomorrow(1, days=3))["start"]]})
    assert again.json() == reply.json()
    assert world.get(f"/booking-series/{made['id']}", world.member).json()["skipped"] == []
    refused(world.post(path, world.member), 409, "wrong_state")


def test_a_moved_occurrence_is_told_with_where_the_rule_has_it(world: World) -> None:
    made = a_series(world)
    one = made["bookings"][1]
    headers = {"if-match": '"1"'}
    moved = world.ask("PATCH", f"/bookings/{one['id']}", token=world.member, json=span(tomorrow(8, days=2)), headers=headers)
    assert moved.json()["series_id"] == made["id"]
    told = world.get(f"/booking-series/{made['id']}", world.member).json()
    homes = {row["id"]: row["moved_from"] for row in told["bookings"]}
    assert homes.pop(one["id"]) == {"start": one["start"], "end": one["end"]}
    assert set(homes.values()) == {None}
    refused(edit(world, made, version=1), 412, "stale")


def test_strangers_know_nothing_of_a_series_and_staff_without_the_right_change_nothing(world: World) -> None:
    made = a_series(world)
    stranger = world.a_person()
    refused(edit(world, made, stranger), 404)
    refused(edit(world, made, stranger, version=None), 404)
    refused(world.post(f"/booking-series/{made['id']}/gaps", stranger), 404)
    refused(world.get(f"/booking-series/{made['id']}", stranger), 404)
    technician = world.a_person("technician", institution_id=world.institution)
    refused(edit(world, made, technician), 403)
    refused(world.post(f"/booking-series/{made['id']}/gaps", technician), 403)
    assert edit(world, made, world.manager).status_code == 200


@pytest.mark.parametrize(
    "change",
    [{"scope": "this_and_following"}, {"scope": "all", "from": "bk_1"}, {"scope": "this"}, {"rrule": ""}, {"rrule": "x" * 501}],
)
def test_a_malformed_edit_is_refused(world: World, change: dict[str, Any]) -> None:
    refused(edit(world, a_series(world), **change), 422, "malformed")


def test_what_does_not_fit_is_told_by_its_field(world: World) -> None:
    made = a_series(world)
    assert fields(refused(edit(world, made, **span(tomorrow(3), -1)), 422)) == {"end"}
    assert fields(refused(edit(world, made, rrule="FREQ=HOURLY;COUNT=3"), 422)) == {"rrule"}
    refused(edit(world, made, scope="this_and_following", **{"from": "bk_of_nobody"}), 404)


def test_a_refused_edit_names_each_occurrence_and_the_ways_out(world: World) -> None:
    made = a_series(world)
    world.a_booking(**span(tomorrow(8, days=3)))
    told = refused(edit(world, made, **span(tomorrow(7))), 409, "slot_taken")
    assert [one["start"] for one in told["reasons"]] == [span(tomorrow(7, days=3))["start"]]
    assert told["alternatives"]
    assert edit(world, made, **told["alternatives"][0]).status_code == 200


def test_a_series_is_cancelled_with_one_message(world: World) -> None:
    made = a_series(world)
    world.post(f"/booking-series/{made['id']}/cancel", world.member)
    with world.client.app.state.sessions() as session:  # type: ignore[attr-defined]
        found = session.connection().exec_driver_sql(
            "SELECT kind FROM messages WHERE person_id = (SELECT person_id FROM booking_series WHERE id = '" + made["id"] + "')"
        )
        assert sorted(row[0] for row in found) == ["series_booked", "series_cancelled"]
