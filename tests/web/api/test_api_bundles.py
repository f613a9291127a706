"""What was booked together, moved as one over JSON: who may, what it answers, by which version, and what it costs."""

from typing import Any

from tests.web.api.world import World, refused, span, tomorrow


def a_bundle(world: World, *parts: tuple[str, dict[str, str]]) -> dict[str, Any]:
    return world.made("/bookings", world.member, {"parts": [{"resource_id": one, **slot} for one, slot in parts]})


def two(world: World, hour: int = 1, days: int = 10) -> dict[str, Any]:
    oven = world.a_resource()
    first, second = span(tomorrow(hour, days=days)), span(tomorrow(hour + 2, days=days))
    return a_bundle(world, (world.resource, first), (oven, second))


def moved(world: World, made: dict[str, Any], body: dict[str, Any], version: int, token: str = "", key: str | None = None) -> Any:
    headers = {"if-match": f'"{version}"'}
    return world.post(f"/bundles/{made['id']}/move", token or world.member, json=body, headers=headers, key=key)


def starts(world: World, made: dict[str, Any]) -> list[str]:
    return [one["start"] for one in world.get(f"/bundles/{made['id']}", world.member).json()["bookings"]]


def test_all_parts_move_by_the_shift_of_the_first(world: World) -> None:
    made = two(world)
    read = world.get(f"/bundles/{made['id']}", world.member)
    assert (read.headers["etag"], read.json()["version"], made["version"]) == ('"2"', 2, 2)
    body = {"start": tomorrow(4, days=11).isoformat()}
    done = moved(world, made, body, 2, key="once")
    assert done.status_code == 200, done.text
    answer = done.json()
    assert [one["start"] for one in answer["bookings"]] == [tomorrow(hour, days=11).isoformat() for hour in (4, 6)]
    assert (answer["version"], answer["quotes"]) == (4, made["quotes"])
    assert [one["version"] for one in answer["bookings"]] == [2, 2]
    assert moved(world, made, body, 2, key="once").json() == answer
    refused(moved(world, made, body, 2), 412, "stale")
    refused(world.post(f"/bundles/{made['id']}/move", world.member, json=body), 428, "precondition_required")
    refused(moved(world, made, {"start": "soon"}, 4), 422, "malformed")
    assert starts(world, made) == [one["start"] for one in answer["bookings"]]


def test_a_part_that_was_moved_alone_makes_the_version_that_was_read_stale(world: World) -> None:
    made = two(world)
    one = made["bookings"][1]["id"]
    body = span(tomorrow(5, days=10))
    assert world.ask("PATCH", f"/bookings/{one}", token=world.member, json=body, headers={"if-match": '"1"'}).status_code == 200
    refused(moved(world, made, {"start": tomorrow(2, days=10).isoformat()}, 2), 412, "stale")
    assert moved(world, made, {"start": tomorrow(2, days=10).isoformat()}, 3).status_code == 200


def test_one_part_that_cannot_be_had_leaves_all_where_they_are(world: World) -> None:
    made = two(world)
    oven = made["bookings"][1]["resource_id"]
    world.made(f"/resources/{oven}/bookings", world.member, span(tomorrow(6, days=10)))
    told = refused(moved(world, made, {"start": tomorrow(3, days=10).isoformat()}, 2), 409, "slot_taken")
    assert [(one["code"], one["part"], one["resource_id"]) for one in told["reasons"]] == [("slot_taken", 1, oven)]
    assert told["conflicts"] == [span(tomorrow(6, days=10), 1)]
    assert starts(world, made) == [one["start"] for one in made["bookings"]]
    assert moved(world, made, {"start": told["alternatives"][0]["start"]}, 2).status_code == 200


def test_nobody_moves_what_is_not_theirs(world: World) -> None:
    made = two(world)
    body = {"start": tomorrow(9, days=10).isoformat()}
    stranger = world.a_person("member", organisation_id=world.an_organisation())
    refused(moved(world, made, body, 2, stranger), 404, "not_found")
    refused(world.get(f"/bundles/{made['id']}", stranger), 404, "not_found")
    refused(world.post(f"/bundles/{made['id']}/move", json=body), 401, "not_signed_in")
    technician = world.a_person("technician", institution_id=world.institution)
    refused(moved(world, made, body, 2, technician), 403, "not_allowed")
    assert moved(world, made, body, 2, world.manager).status_code == 200


def test_a_house_moves_no_chain_that_goes_on_elsewhere(world: World) -> None:
    elsewhere = world.foreign_resource()
    made = a_bundle(world, (world.resource, span(tomorrow(1))), (elsewhere, span(tomorrow(3))))
    body = {"start": tomorrow(5).isoformat()}
    told = refused(moved(world, made, body, 2, world.manager), 403, "not_allowed")
    assert "not yours to move" in told["detail"]
    assert [one["resource_id"] for one in world.get(f"/bundles/{made['id']}", world.manager).json()["bookings"]] == [
        world.resource
    ]
    assert moved(world, made, body, 2).status_code == 200


def fees(world: World, made: dict[str, Any]) -> list[int]:
    done = world.post(f"/bundles/{made['id']}/cancel", world.member)
    assert done.status_code == 200, done.text
    return [one["fee"]["minor"] for one in done.json()["bookings"]]


def test_cancelling_costs_no_less_after_the_customer_moved_it_late(world: World) -> None:
    late = two(world, hour=1, days=1)
    assert moved(world, late, {"start": tomorrow(1, days=20).isoformat()}, 2).status_code == 200
    kept = fees(world, late)
    alone = two(world, hour=1, days=1)
    for one in alone["bookings"]:
        body = span(tomorrow(12, days=30 if one is alone["bookings"][0] else 31))
        path = f"/bookings/{one['id']}"
        assert world.ask("PATCH", path, token=world.member, json=body, headers={"if-match": '"1"'}).status_code == 200
    assert kept == fees(world, alone)
    assert all(kept)
    by_house = two(world, hour=1, days=1)
    assert moved(world, by_house, {"start": tomorrow(1, days=20).isoformat()}, 2, world.manager).status_code == 200
    assert fees(world, by_house) == [0, 0]
