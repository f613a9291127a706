"""contract.md: free time, bookings, idempotency keys, versions, outages, statements; and what strangers get."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert

from booking.occupancy import Buffers
from booking.tables import Claim
from booking.writing import claim_rows
from marketplace import clock
from marketplace.catalogue.queries import get_resource
from marketplace.people.queries import get_organisation
from tests.builders import a_booking
from tests.web.api.world import World, fields, refused, soon, span, tomorrow


def test_a_booking_answers_with_id_state_slot_quote_and_version(world: World) -> None:
    made = world.a_booking(purpose="干燥试验")
    assert made["state"] == "confirmed"
    assert made["quote"] == {"minor": 60000, "currency": "CNY"}
    assert made["version"] == 1
    read = world.get(f"/bookings/{made['id']}", world.member)
    assert read.headers["etag"] == '"1"'
    assert read.json() == made


def test_what_is_shown_free_is_accepted_and_what_is_taken_is_refused_with_ways_out(world: World) -> None:
    path, window = f"/resources/{world.resource}", span(tomorrow(0), 6)
    query = {"from": window["start"], "to": window["end"]}
    assert world.get(f"{path}/availability", params=query).json() == {"free": [window], "busy": []}
    world.a_booking(**span(tomorrow(1), 2))
    found = world.get(f"{path}/availability", params=query).json()
    assert found["free"] == [span(tomorrow(0), 1), span(tomorrow(3), 3)]
    assert found["busy"] == [{**span(tomorrow(1), 2), "kind": "booking"}]
    body = refused(world.post(f"{path}/bookings", world.member, json=span(tomorrow(2), 2)), 409, "slot_taken")
    assert body["conflicts"] == [span(tomorrow(2), 1)]
    assert len(body["alternatives"]) == 3
    assert world.post(f"{path}/bookings", world.member, json=body["alternatives"][0]).status_code == 201


def test_a_rule_and_a_conflict_come_together(world: World) -> None:
    resource = world.a_resource(rules={"max_min": 120})
    path = f"/resources/{resource}/bookings"
    world.made(path, world.member, span(tomorrow(1), 2))
    body = refused(world.post(path, world.member, json=span(tomorrow(1), 3)), 409)
    assert {reason["code"] for reason in body["reasons"]} >= {"too_long", "slot_taken"}
    assert body["conflicts"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"start": "2027-03-10T09:00:00"}, "start"),
        ({"start": 1773000000}, "start"),
        ({"start": "1773000000"}, "start"),
        ({"start": "9999-12-31T23:59:59Z"}, "start"),
        ({"quantity": 0}, "quantity"),
        ({"quantity": "1"}, "quantity"),
        ({"quantity": True}, "quantity"),
        ({"surprise": 1}, "surprise"),
        ({"purpose": "a\u0000b"}, "purpose"),
    ],
)
def test_a_malformed_booking_is_refused_naming_the_field(world: World, change: dict[str, Any], field: str) -> None:
    reply = world.post(f"/resources/{world.resource}/bookings", world.member, json={**span(tomorrow()), **change})
    assert field in fields(refused(reply, 422, "malformed"))


def test_a_slot_that_ends_before_it_starts_is_refused(world: World) -> None:
    refused(world.post(f"/resources/{world.resource}/bookings", world.member, json=span(tomorrow(), -1)), 422, "invalid")


def test_the_same_key_with_the_same_body_gives_the_same_answer_and_another_body_is_refused(world: World) -> None:
    path = f"/resources/{world.resource}/bookings"
    first = world.post(path, world.member, key="k1", json=span(tomorrow(1)))
    again = world.post(path, world.member, key="k1", json=span(tomorrow(1)))
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    refused(world.post(path, world.member, key="k1", json=span(tomorrow(5))), 422, "idempotency_key_reused")
    other = world.a_person("member", organisation_id=world.organisation)
    refused(world.post(path, other, key="k1", json=span(tomorrow(1))), 409, "slot_taken")
    refused(world.post(path, world.member, key="k" * 300, json=span(tomorrow(9))), 422, "invalid")


@pytest.mark.parametrize(
    ("again", "status"),
    [
        (b'{"end": %b,\n  "start": %b}', 201),
        (b'{"quantity":1,"start":%b,"end":%b}', 422),
        (b'{"start":%b,"end":%b,"purpose":"b"}', 422),
        (b'{"start":%b,"end":%b', 422),
    ],
)
def test_a_key_knows_what_was_asked_however_it_is_written(world: World, again: bytes, status: int) -> None:
    path = f"/resources/{world.resource}/bookings"
    slot = span(tomorrow(1))
    first = world.post(path, world.member, key="k", json=slot)
    names = ("end", "start") if again.find(b"end") < again.find(b"start") else ("start", "end")
    content = again % tuple(f'"{slot[name]}"'.encode() for name in names)
    headers = {"idempotency-key": "k", "content-type": "application/json"}
    reply = world.ask("POST", path, token=world.member, content=content, headers=headers)
    assert reply.status_code == status
    assert (reply.content == first.content) == (status == 201)


def test_a_refusal_is_not_kept_under_its_key(world: World) -> None:
    path = f"/resources/{world.resource}/bookings"
    taken = world.a_booking(**span(tomorrow(1)))
    refused(world.post(path, world.member, key="again", json=span(tomorrow(1))), 409)
    world.post(f"/bookings/{taken['id']}/cancel", world.member)
    assert world.post(path, world.member, key="again", json=span(tomorrow(1))).status_code == 201


def test_a_move_needs_the_present_version(world: World) -> None:
    path = f"/bookings/{world.a_booking()['id']}"
    body = span(tomorrow(5), 3)
    refused(world.ask("PATCH", path, token=world.member, json=body), 428, "precondition_required")
    moved = world.ask("PATCH", path, token=world.member, json=body, headers={"if-match": '"1"'})
    assert moved.json()["quote"] == {"minor": 90000, "currency": "CNY"}
    assert moved.headers["etag"] == '"2"'
    refused(world.ask("PATCH", path, token=world.member, json=body, headers={"if-match": '"1"'}), 412, "stale")


def test_cancelling_needs_no_body_and_works_once(world: World) -> None:
    path = f"/bookings/{world.a_booking(**span(tomorrow(days=20)))['id']}/cancel"
    done = world.post(path, world.member)
    assert (done.status_code, done.json()["state"]) == (200, "cancelled")
    assert set(done.json()["fee"]) == {"minor", "currency"}
    refused(world.post(path, world.member), 409, "wrong_state")


def test_a_request_is_approved_or_refused_by_the_manager_only(world: World) -> None:
    resource = world.a_resource(rules={"approval": "request"})
    one, two = (world.made(f"/resources/{resource}/bookings", world.member, span(tomorrow(hour))) for hour in (1, 5))
    assert one["state"] == "requested"
    refused(world.post(f"/bookings/{one['id']}/approve", world.member), 403, "not_allowed")
    assert world.post(f"/bookings/{one['id']}/approve", world.manager).json()["state"] == "confirmed"
    assert world.post(f"/bookings/{two['id']}/refuse", world.manager).json()["state"] == "refused"
    refused(world.post(f"/bookings/{two['id']}/approve", world.manager), 409, "wrong_state")


def test_a_publisher_moves_to_another_resource_of_the_house_a_customer_does_not(world: World) -> None:
    made, other = world.a_booking(), world.a_resource(price_per_hour={"minor": 90000, "currency": "CNY"})
    path, at = f"/bookings/{made['id']}", {"if-match": '"1"'}
    body = {**span(tomorrow(5)), "resource_id": other}
    refused(world.ask("PATCH", path, token=world.member, json=body, headers=at), 403, "not_allowed")
    foreign = {**body, "resource_id": world.foreign_resource()}
    assert fields(refused(world.ask("PATCH", path, token=world.manager, json=foreign, headers=at), 422)) == {"resource_id"}
    moved = world.ask("PATCH", path, token=world.manager, json=body, headers=at).json()
    assert (moved["resource_id"], moved["quote"]) == (other, made["quote"])


def test_an_approved_booking_that_its_customer_moves_is_a_request_again(world: World) -> None:
    policy = {"cancel_tiers": [{"hours": 2400, "rate": "0.5"}]}
    resource = world.a_resource(rules={"approval": "request"}, policy=policy)
    made = world.made(f"/resources/{resource}/bookings", world.member, span(tomorrow(1)))
    path = f"/bookings/{made['id']}"

    def moved(token: str, hour: int, version: int) -> dict[str, Any]:
        at = {"if-match": f'"{version}"'}
        reply = world.ask("PATCH", path, token=token, json=span(tomorrow(hour)), headers=at)
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()
        return found

    approved = world.post(f"{path}/approve", world.manager).json()
    by_manager = moved(world.manager, 4, approved["version"])
    assert by_manager["state"] == "confirmed"
    assert moved(world.member, 8, by_manager["version"])["state"] == "requested"
    assert world.post(f"{path}/cancel", world.member).json()["fee"]["minor"] == 30000


@pytest.mark.parametrize(("hour", "end", "fee"), [(1, "refuse", 30000), (96, "refuse", 0), (1, "cancel", 0)])
def test_a_move_that_the_house_declines_costs_what_the_time_before_would_have(
    world: World, hour: int, end: str, fee: int
) -> None:
    """The house lets it go by cancelling."""
    resource = world.a_resource(rules={"approval": "request"})
    path = f"/bookings/{world.made(f'/resources/{resource}/bookings', world.member, span(soon(hour)))['id']}"
    approved = world.post(f"{path}/approve", world.manager).json()
    at = {"if-match": f'"{approved["version"]}"'}
    away = world.ask("PATCH", path, token=world.member, json=span(tomorrow(hour, days=20)), headers=at)
    assert away.json()["state"] == "requested"
    assert world.post(f"{path}/{end}", world.manager).json()["fee"]["minor"] == fee
    bill = world.get(f"{path}/statement", world.member)
    assert bill.status_code == (200 if fee else 404)


def test_moving_does_not_undo_what_cancelling_costs_unless_the_house_moves(world: World) -> None:
    fees = []
    for mover, hour in ((world.member, 1), (world.manager, 5)):
        path = f"/bookings/{world.a_booking(**span(soon(hour)))['id']}"
        away = world.ask("PATCH", path, token=mover, json=span(tomorrow(hour, days=20)), headers={"if-match": '"1"'})
        assert away.status_code == 200
        fees.append(world.post(f"{path}/cancel", world.member).json()["fee"]["minor"])
    assert fees == [30000, 0]


def test_a_stranger_gets_404_for_everything_of_a_booking(world: World) -> None:
    path = f"/bookings/{world.a_booking()['id']}"
    stranger = world.a_person("member", organisation_id=world.an_organisation())
    for found in (path, "/bookings/bk_none"):
        for way in ("", "/use", "/statement"):
            refused(world.get(found + way, stranger), 404, "not_found")
        for step in ("approve", "refuse", "cancel", "statement/accept"):
            refused(world.post(f"{found}/{step}", stranger), 404, "not_found")
        moved = world.ask("PATCH", found, token=stranger, json=span(tomorrow(9)), headers={"if-match": '"1"'})
        refused(moved, 404, "not_found")
        refused(world.get(found), 401, "not_signed_in")
    assert world.get("/bookings", stranger).json()["items"] == []


@pytest.mark.parametrize("role", ["technician", "finance"])
def test_staff_who_do_not_decide_on_bookings_neither_move_nor_cancel_a_customers(world: World, role: str) -> None:
    path = f"/bookings/{world.a_booking()['id']}"
    staff = world.a_person(role, institution_id=world.institution)
    moved = world.ask("PATCH", path, token=staff, json=span(tomorrow(9)), headers={"if-match": '"1"'})
    refused(moved, 403, "not_allowed")
    refused(world.post(f"{path}/cancel", staff), 403, "not_allowed")
    assert world.get(path, world.member).json()["version"] == 1
    assert world.post(f"{path}/cancel", world.manager).json()["fee"]["minor"] == 0


def test_bookings_are_paged_by_cursor(world: World) -> None:
    made = {world.a_booking(**span(tomorrow(hour), 1))["id"] for hour in range(5)}
    found: list[str] = []
    cursor: dict[str, str] = {}
    for _ in range(3):
        page = world.get("/bookings", world.member, params={"limit": 2, **cursor}).json()
        found += [row["id"] for row in page["items"]]
        cursor = {"cursor": page["next_cursor"]}
    assert page["next_cursor"] is None
    assert (len(found), set(found)) == (5, made)
    for wrong in ("0", "201", "x"):
        refused(world.get("/bookings", world.member, params={"limit": wrong}), 422, "malformed")
    refused(world.get("/bookings", world.member, params={"cursor": "zzz"}), 422, "malformed")


def test_an_outage_is_first_shown_and_stores_nothing_then_recorded(world: World) -> None:
    booked = world.a_booking(**span(tomorrow(1)))
    path = f"/resources/{world.resource}/outages"
    body = {**span(tomorrow(0), 6), "planned": True, "reason": "保养", "plan": "cancel"}
    shown = world.post(path, world.manager, key="o", params={"dry_run": "true"}, json=body)
    (affected,) = shown.json()["affected"]
    assert (shown.status_code, affected["booking_id"], affected["proposal"]) == (200, booked["id"], {"action": "cancel"})
    assert world.get(f"/bookings/{booked['id']}", world.member).json()["state"] == "confirmed"
    refused(world.post(path, world.manager, key="o", json=body), 422, "idempotency_key_reused")
    refused(world.post(path, world.member, json=body), 403, "not_allowed")
    assert world.post(path, world.manager, key="p", json=body).status_code == 201
    assert world.get(f"/bookings/{booked['id']}", world.member).json()["state"] == "cancelled"


def test_the_plan_of_an_outage_is_proposed_approved_and_carried_out(world: World) -> None:
    path = f"/resources/{world.resource}/outages"
    first, second = (world.a_booking(**span(tomorrow(hour))) for hour in (1, 3))
    body = {**span(tomorrow(0), 6), "planned": True, "reason": "保养"}
    plan = world.post(path, world.manager, params={"dry_run": "true"}, json=body).json()["affected"]
    assert [(one["booking_id"], one["proposal"]["action"]) for one in plan] == [(first["id"], "shift"), (second["id"], "shift")]
    refused(world.post(path, world.manager, json={**body, "plan": plan[:1]}), 422)
    longer = [{**one, "proposal": {**one["proposal"], **span(tomorrow(8), 3)}} for one in plan]
    assert fields(refused(world.post(path, world.manager, json={**body, "plan": longer}), 422)) == {"plan.0.end"}
    inside = [{**one, "proposal": {"action": "shift", "start": one["start"], "end": one["end"]}} for one in plan]
    assert fields(refused(world.post(path, world.manager, json={**body, "plan": inside}), 422)) == {"plan.0.start"}
    done = world.post(path, world.manager, json={**body, "plan": plan})
    assert done.status_code == 201, done.text
    for one in plan:
        now = world.get(f"/bookings/{one['booking_id']}", world.member).json()
        assert (now["state"], now["start"], now["quote"]["minor"]) == ("confirmed", one["proposal"]["start"], 60000)
    window = {"from": tomorrow(0).isoformat(), "to": tomorrow(6).isoformat()}
    assert world.get(f"/resources/{world.resource}/availability", params=window).json()["free"] == []


def test_where_no_time_is_left_a_like_machine_of_the_house_takes_the_booking_at_its_price(world: World) -> None:
    fixed = world.a_resource(rules={"horizon_days": 1}, price_per_hour={"minor": 30000, "currency": "CNY"})
    like = world.a_resource(price_per_hour={"minor": 20000, "currency": "CNY"})
    world.a_resource(price_per_hour={"minor": 90000, "currency": "CNY"})
    start = clock.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=3)
    made = world.made(f"/resources/{fixed}/bookings", world.member, span(start))
    body = {**span(start - timedelta(hours=2), 40), "planned": True, "reason": "检修"}
    (one,) = world.post(f"/resources/{fixed}/outages", world.manager, params={"dry_run": "true"}, json=body).json()["affected"]
    assert one["proposal"] == {"action": "move", **span(start), "resource_id": one["proposal"]["resource_id"]}
    assert one["proposal"]["resource_id"] in {like, world.resource}
    assert world.post(f"/resources/{fixed}/outages", world.manager, json={**body, "plan": "proposed"}).status_code == 201
    now = world.get(f"/bookings/{made['id']}", world.member).json()
    assert (now["resource_id"], now["quote"]["minor"]) == (one["proposal"]["resource_id"], 60000)
    refused(world.post(f"/resources/{now['resource_id']}/bookings", world.member, json=span(start)), 409, "slot_taken")


def test_where_no_machine_of_the_house_is_left_another_institution_takes_the_booking(world: World) -> None:
    price = {"minor": 10000, "currency": "CNY"}
    fixed = world.a_resource(rules={"horizon_days": 1}, price_per_hour=price)
    theirs = world.an_institution()
    there = str(world.made("/resources", world.operator, world.listing(institution_id=theirs, price_per_hour=price))["id"])
    start = clock.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=3)
    made = world.made(f"/resources/{fixed}/bookings", world.member, span(start))
    body = {**span(start - timedelta(hours=2), 40), "planned": True, "reason": "检修"}
    (one,) = world.post(f"/resources/{fixed}/outages", world.manager, params={"dry_run": "true"}, json=body).json()["affected"]
    assert one["proposal"] == {"action": "move", **span(start), "resource_id": there}
    done = world.post(f"/resources/{fixed}/outages", world.manager, json={**body, "plan": [one]})
    assert done.status_code == 201, done.text
    assert world.get(f"/bookings/{made['id']}", world.member).json()["state"] == "cancelled"
    mine = world.get("/bookings", world.member).json()["items"]
    (new,) = [row for row in mine if row["resource_id"] == there]
    assert (new["state"], new["start"], new["organisation_id"]) == ("confirmed", made["start"], world.organisation)
    assert world.get(f"/bookings/{new['id']}", world.manager).status_code == 404
    refused(world.post(f"/resources/{there}/bookings", world.member, json=span(start)), 409, "slot_taken")


def test_use_and_statement_of_a_booking_to_come(world: World) -> None:
    path = f"/bookings/{world.a_booking()['id']}"
    use = world.get(f"{path}/use", world.member).json()
    assert set(use) >= {"booked_s", "confirmed_s", "unverified_s", "overrun_s", "verdict"}
    assert use["booked_s"] == 7200
    refused(world.get(f"{path}/statement", world.member), 404, "not_found")
    refused(world.post(f"{path}/statement/accept", world.manager), 403, "not_allowed")


def test_an_availability_without_or_beyond_bounds_is_refused(world: World) -> None:
    path, start = f"/resources/{world.resource}/availability", tomorrow()
    refused(world.get(path), 422, "malformed")
    query = {"from": start.isoformat(), "to": (start + timedelta(days=100)).isoformat()}
    refused(world.get(path, params=query), 422, "invalid")
    refused(world.get("/resources/res_none/availability", params={**query, "to": span(start)["end"]}), 404, "not_found")


def test_a_line_is_busy_where_a_station_is_and_takes_its_stations_along(world: World) -> None:
    line, station = f"/resources/{world.resource}", f"/resources/{world.a_resource(parent_id=world.resource)}"
    world.made(f"{station}/bookings", world.member, span(tomorrow(1), 1))
    body = refused(world.post(f"{line}/bookings", world.member, json=span(tomorrow(1))), 409, "slot_taken")
    assert body["conflicts"] == [span(tomorrow(1), 1)]
    window = span(tomorrow(0), 4)
    found = world.get(f"{line}/availability", params={"from": window["start"], "to": window["end"]}).json()
    assert found["free"] == [span(tomorrow(0), 1), span(tomorrow(2), 2)]
    assert found["busy"] == [{**span(tomorrow(1), 1), "kind": "booking"}]
    world.made(f"{line}/bookings", world.member, span(tomorrow(3)))
    refused(world.post(f"{station}/bookings", world.member, json=span(tomorrow(4))), 409, "slot_taken")


def test_a_station_that_is_booked_itself_does_not_join_a_line_booked_at_the_same_time(world: World) -> None:
    world.a_booking()
    alone = world.a_resource()
    world.made(f"/resources/{alone}/bookings", world.member, span(tomorrow()))
    body = {**world.listing(), "parent_id": world.resource}
    etag = world.get(f"/resources/{alone}", world.manager).headers["etag"]
    reply = world.ask("PUT", f"/resources/{alone}", token=world.manager, json=body, headers={"if-match": etag})
    assert fields(refused(reply, 422)) == {"parent_id"}


def a_bundle(*parts: tuple[str, dict[str, str]], **more: Any) -> dict[str, Any]:
    return {"parts": [{"resource_id": resource, **slot} for resource, slot in parts], **more}


def test_a_bundle_is_booked_whole_or_not_at_all(world: World) -> None:
    oven = world.a_resource()
    body = a_bundle((world.resource, span(tomorrow(1))), (oven, span(tomorrow(3))), purpose="涂布后退火")
    made = world.post("/bookings", world.member, json=body, key="one bundle")
    assert made.status_code == 201, made.text
    assert [one["bundle_id"] for one in made.json()["bookings"]] == [made.json()["id"]] * 2
    assert made.json()["quotes"] == [{"minor": 120000, "currency": "CNY"}]
    assert world.post("/bookings", world.member, json=body, key="one bundle").json() == made.json()
    later = a_bundle((world.resource, span(tomorrow(5))), (oven, span(tomorrow(4))))
    told = refused(world.post("/bookings", world.member, json=later), 409, "slot_taken")
    assert [(one["code"], one["part"], one["resource_id"]) for one in told["reasons"]] == [("slot_taken", 1, oven)]
    assert told["conflicts"] == [span(tomorrow(4), 1)]
    assert told["alternatives"][0] == span(tomorrow(5), 3)
    world.made(f"/resources/{world.resource}/bookings", world.member, span(tomorrow(5)))


def test_a_bundle_is_cancelled_whole_with_the_fee_of_each_part(world: World) -> None:
    oven = world.a_resource()
    body = a_bundle((world.resource, span(soon())), (oven, span(tomorrow(3, days=20))))
    made = world.made("/bookings", world.member, body)
    path = f"/bundles/{made['id']}/cancel"
    stranger = world.a_person("member", organisation_id=world.an_organisation())
    refused(world.post(path, stranger), 404, "not_found")
    done = world.post(path, world.member)
    assert done.status_code == 200, done.text
    assert [(one["state"], one["fee"]["minor"]) for one in done.json()["bookings"]] == [("cancelled", 30000), ("cancelled", 0)]
    assert done.json()["fees"] == [{"minor": 30000, "currency": "CNY"}]
    refused(world.post(path, world.member), 409, "wrong_state")
    again = world.made("/bookings", world.member, body)
    assert world.post(f"/bookings/{again['bookings'][0]['id']}/cancel", world.member).status_code == 200
    rest = world.post(f"/bundles/{again['id']}/cancel", world.member).json()["bookings"]
    assert [one["id"] for one in rest] == [again["bookings"][1]["id"]]


@pytest.mark.parametrize(("moved_before", "fee"), [(False, 0), (True, 30000)])
def test_what_is_left_of_a_bundle_that_was_not_granted_whole_costs_nothing_to_give_up(
    world: World, moved_before: bool, fee: int
) -> None:
    """Unless it was the customer who asked for another time of the part that stood."""
    oven = world.a_resource(rules={"approval": "request"})
    made = world.made("/bookings", world.member, a_bundle((world.resource, span(soon())), (oven, span(tomorrow(3, days=20)))))
    left, asked = made["bookings"]
    assert asked["state"] == "requested"
    if moved_before:
        version = world.post(f"/bookings/{asked['id']}/approve", world.manager).json()["version"]
        at = {"if-match": f'"{version}"'}
        assert world.ask("PATCH", f"/bookings/{asked['id']}", token=world.member, json=span(tomorrow(8, days=20)), headers=at)
    assert world.post(f"/bookings/{asked['id']}/refuse", world.manager).json()["state"] == "refused"
    assert world.post(f"/bookings/{left['id']}/cancel", world.member).json()["fee"]["minor"] == fee


def test_a_bundle_with_an_unknown_resource_or_a_wrong_part_stores_nothing(world: World) -> None:
    part = (world.resource, span(tomorrow()))
    unknown = refused(world.post("/bookings", world.member, json=a_bundle(part, ("res_x", span(tomorrow())))), 404, "not_found")
    assert [(one["part"], one["field"]) for one in unknown["reasons"]] == [(1, "parts.1.resource_id")]
    assert "parts.1.resource_id" in unknown["detail"]
    backwards = {"start": span(tomorrow())["end"], "end": span(tomorrow())["start"]}
    wrong = refused(world.post("/bookings", world.member, json=a_bundle(part, (world.resource, backwards))), 422)
    assert fields(wrong) == {"parts.1.end"}
    refused(world.post("/bookings", world.member, json={"parts": []}), 422, "malformed")
    refused(world.post("/bookings", json=a_bundle(part)), 401)
    world.a_booking()


def test_a_series_is_booked_with_its_gaps_told(world: World) -> None:
    path = f"/resources/{world.resource}"
    world.made(f"{path}/bookings", world.member, span(tomorrow(2, days=8), 1))
    body = {**span(tomorrow(1)), "rrule": "FREQ=WEEKLY;COUNT=3"}
    told = refused(world.post(f"{path}/booking-series", world.member, json=body), 409, "slot_taken")
    assert told["conflicts"] == [span(tomorrow(2, days=8), 1)]
    assert told["reasons"][0]["start"] == tomorrow(1, days=8).isoformat()
    assert world.post(f"{path}/booking-series", world.member, json={**body, **told["alternatives"][0]}).status_code == 201
    body = {**span(tomorrow(10), 1), "rrule": "FREQ=DAILY;COUNT=9", "on_conflict": "skip"}
    world.made(f"{path}/bookings", world.member, span(tomorrow(10, days=3), 1))
    made = world.made(f"{path}/booking-series", world.member, body)
    assert [len(made["bookings"]), made["quotes"]] == [8, [{"minor": 240000, "currency": "CNY"}]]
    [gap] = made["skipped"]
    assert {"start": gap["start"], "end": gap["end"]} == span(tomorrow(10, days=3), 1)
    assert gap["conflicts"] == [span(tomorrow(10, days=3), 1)]
    assert {one["series_id"] for one in made["bookings"]} == {made["id"]}


@pytest.mark.parametrize("rrule", ["", "daily", "FREQ=DAILY", "FREQ=DAILY;INTERVAL=0;COUNT=2", "X=" + "1" * 500])
def test_what_is_no_rule_is_refused_naming_its_field(world: World, rrule: str) -> None:
    reply = world.post(f"/resources/{world.resource}/booking-series", world.member, json={**span(tomorrow()), "rrule": rrule})
    assert fields(refused(reply, 422)) == {"rrule"}
    world.a_booking()


def test_check_in_and_finish_wait_for_the_booking_and_are_for_those_who_attend(world: World) -> None:
    booking = f"/bookings/{world.a_booking()['id']}"
    for button in ("check-in", "finish"):
        assert refused(world.post(f"{booking}/{button}", world.member), 409, "wrong_state")
        refused(world.post(f"{booking}/{button}", world.a_person()), 404)
    world.a_booking(**span(tomorrow(3)))


def test_a_running_booking_is_checked_in_and_finished(world: World, client: TestClient) -> None:
    with client.app.state.sessions.begin() as session:  # type: ignore[attr-defined]
        start = clock.now().replace(second=0, microsecond=0) - timedelta(hours=1)
        firm, place = get_organisation(session, world.organisation), get_resource(session, world.resource)
        made = a_booking(session, resource=place, organisation=firm, start=start, hours=2)
        claim = claim_rows(made, {place.id: [0]}, Buffers())
        session.execute(insert(Claim), claim)
        booking = f"/bookings/{made.id}"
    assert world.post(f"{booking}/check-in", world.member).json()["checked_in_at"]
    done = world.post(f"{booking}/finish", world.member)
    assert done.status_code == 200, done.text
    assert datetime.fromisoformat(done.json()["end"]) <= clock.now() + timedelta(minutes=1)
    refused(world.post(f"{booking}/cancel", world.member), 409, "wrong_state")


def test_this_and_the_following_of_a_series_are_cancelled(world: World) -> None:
    path = f"/resources/{world.resource}/booking-series"
    made = world.made(path, world.member, {**span(tomorrow(1, days=10)), "rrule": "FREQ=DAILY;COUNT=5"})
    third = made["bookings"][2]["start"]
    ended = world.post(f"/booking-series/{made['id']}/cancel", world.member, json={"from": third}).json()["cancelled"]
    assert [one["start"] for one in ended] == [one["start"] for one in made["bookings"][2:]]
    shown = world.get(f"/booking-series/{made['id']}", world.member).json()
    assert [one["state"] for one in shown["bookings"]] == ["confirmed"] * 2 + ["cancelled"] * 3
    refused(world.post(f"/booking-series/{made['id']}/cancel", world.a_person()), 404)
    assert len(world.post(f"/booking-series/{made['id']}/cancel", world.member).json()["cancelled"]) == 2
    refused(world.post(f"/booking-series/{made['id']}/cancel", world.member), 409, "wrong_state")
