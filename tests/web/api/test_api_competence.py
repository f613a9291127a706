"""Qualifications, operators, shared parts and prices by class over JSON: who may do what, and what a booking answers."""

from datetime import timedelta
from typing import Any

import pytest

from marketplace.ids import new_id
from tests.web.api.world import World, fields, refused, span, tomorrow

KIND = {"name": "激光安全", "name_en": "Laser safety", "levels": [{"name": "初级"}, {"name": "高级", "name_en": "Advanced"}]}


@pytest.fixture
def kind(world: World) -> dict[str, Any]:
    return world.made(f"/institutions/{world.institution}/qualifications", world.manager, KIND)


def a_colleague(world: World, role: str = "technician") -> dict[str, Any]:
    """Id, address and token of somebody who works there."""
    memberships = [{"role": role, "institution_id": world.institution}]
    body = {"email": f"{new_id('p')}@example.com", "name": "王师傅", "memberships": memberships}
    return world.made("/people", world.operator, body)


def an_operator(world: World, **more: Any) -> dict[str, Any]:
    body = {"person_id": a_colleague(world)["id"], **more}
    return world.made(f"/institutions/{world.institution}/operators", world.manager, body)


def member_email(world: World) -> str:
    """Of the firm's member, after their first request at the house."""
    body = {"email": f"{new_id('p')}@example.com", "name": "陈静"}
    memberships = [{"role": "member", "organisation_id": world.organisation}]
    made = world.made("/people", world.operator, {**body, "memberships": memberships})
    world.member = made["token"]
    return str(body["email"])


def test_a_qualification_is_asked_for_granted_and_taken_back(world: World, kind: dict[str, Any]) -> None:
    need = {"qualification_id": kind["id"], "level": 2, "unless_assisted": False}
    resource = world.a_resource(rules={"qualifications": [need]})
    assert world.get(f"/resources/{resource}").json()["rules"]["qualifications"] == [need]
    email, path = member_email(world), f"/resources/{resource}/bookings"
    (reason,) = refused(world.post(path, world.member, json=span(tomorrow())), 409, "refused_by_rules")["reasons"]
    assert (reason["code"], reason["level"], reason["qualification"]) == ("qualification_missing", 2, "激光安全 · Laser safety")
    assert reason["override_by"] == ["manager", "operator"]
    grants = f"/qualifications/{kind['id']}/grants"
    until = tomorrow(days=9).date().isoformat()
    grant = world.made(grants, world.manager, {"email": email, "level": 2, "valid_until": until})
    world.made(path, world.member, span(tomorrow()))
    late = refused(world.post(path, world.member, json=span(tomorrow(days=20))), 409)
    assert late["reasons"][0]["code"] == "qualification_expired"
    assert len(late["alternatives"]) == 3
    (own,) = world.get("/qualifications", world.member).json()["items"]
    assert (own["id"], own["qualification"]["name"]) == (grant["id"], "激光安全")
    (listed,) = world.get(grants, world.manager).json()["items"]
    assert listed["person"]["email"] == email
    revoke = f"/qualification-grants/{grant['id']}/revoke"
    assert world.post(revoke, world.manager).status_code == 200
    refused(world.post(revoke, world.manager), 409)
    refused(world.post(path, world.member, json=span(tomorrow(8))), 409)


def test_only_the_staff_train_and_strangers_learn_nothing(world: World, kind: dict[str, Any]) -> None:
    grants = f"/qualifications/{kind['id']}/grants"
    body = {"email": "nobody@example.com"}
    technician = a_colleague(world)["token"]
    for token, status in ((world.member, 404), (a_colleague(world, "finance")["token"], 403), (technician, 422)):
        assert world.post(grants, token, json=body).status_code == status
    assert world.get(grants, world.member).status_code == 404
    assert world.get(grants).status_code == 401
    defining = f"/institutions/{world.institution}/qualifications"
    assert world.post(defining, technician, json={**KIND, "name": "x"}).status_code == 403
    assert "name" in fields(refused(world.post(defining, world.manager, json=KIND), 422))
    assert world.get(defining, world.member).json()["items"] == [kind]
    assert world.post("/qualification-grants/qgr_x/revoke", world.manager).status_code == 404


def test_assisted_use_claims_an_operators_time(world: World) -> None:
    operator = an_operator(world, hours=[{"weekday": day, "open": "08:00", "close": "20:00"} for day in range(7)])
    required = {"mode": "required", "operators": [operator["id"]], "supervised_runs": 0}
    one, other = (world.a_resource(rules={"assistance": required}) for _ in range(2))
    told = world.get(f"/resources/{one}").json()["rules"]["assistance"]
    assert told == {**required, "operators": []}
    booked = world.made(f"/resources/{one}/bookings", world.member, span(tomorrow(2)))
    assert booked["assisted"] is True
    answer = refused(world.post(f"/resources/{other}/bookings", world.member, json=span(tomorrow(3))), 409, "refused_by_rules")
    assert [reason["code"] for reason in answer["reasons"]] == ["no_operator_free"]
    for way in answer["alternatives"]:
        assert world.post(f"/resources/{other}/bookings", world.member, json=way).status_code == 201
    day = {"from": tomorrow(0).isoformat(), "to": tomorrow(12).isoformat()}
    free = world.get(f"/resources/{other}/availability", params=day).json()["free"]
    assert all(not (way["start"] < booked["end"] and booked["start"] < way["end"]) for way in free)


def test_assistance_is_asked_for_where_it_is_optional(world: World) -> None:
    an_operator(world)
    resource = world.a_resource(rules={"assistance": {"mode": "optional", "supervised_runs": 1}})
    path = f"/resources/{resource}/bookings"
    (reason,) = refused(world.post(path, world.member, json=span(tomorrow())), 409)["reasons"]
    assert (reason["code"], reason["runs"], reason["done"]) == ("supervised_run_first", 1, 0)
    assert world.made(path, world.member, {**span(tomorrow()), "assisted": True})["assisted"]
    plain = f"/resources/{world.resource}/bookings"
    (reason,) = refused(world.post(plain, world.member, json={**span(tomorrow()), "assisted": True}), 409)["reasons"]
    assert reason["code"] == "no_assistance_offered"
    parts = [
        {"resource_id": resource, **span(tomorrow(6)), "assisted": True},
        {"resource_id": world.resource, **span(tomorrow(6))},
    ]
    made = world.made("/bookings", world.member, {"parts": parts})
    assert [one["assisted"] for one in made["bookings"]] == [True, False]


def test_operators_are_the_houses_own_affair(world: World) -> None:
    operator = an_operator(world)
    path = f"/institutions/{world.institution}/operators"
    assert [one["id"] for one in world.get(path, world.manager).json()["items"]] == [operator["id"]]
    assert world.get(path, world.member).status_code == 404
    assert world.post(path, world.member, json={"person_id": "per_x"}).status_code == 404
    assert world.post(path, a_colleague(world)["token"], json={"person_id": "per_x"}).status_code == 403
    assert "person_id" in fields(refused(world.post(path, world.manager, json={"person_id": "per_x"}), 422))
    for address in (f"/resources/{operator['id']}", f"/resources/{operator['id']}/availability"):
        params = {"from": tomorrow().isoformat(), "to": tomorrow(3).isoformat()}
        assert world.get(address, world.manager, params=params if "avail" in address else None).status_code == 404
    assert world.post(f"/resources/{operator['id']}/publish", world.manager).status_code == 404
    assert world.post(f"/resources/{operator['id']}/bookings", world.manager, json=span(tomorrow())).status_code == 404
    assert world.post("/resources", world.manager, json=world.listing(parent_id=operator["id"])).status_code == 404
    assert world.post("/resources", world.manager, json=world.listing(shares=[operator["id"]])).status_code == 404
    assert operator["id"] not in world.get("/resources", params={"limit": 100}).text
    hours = {"hours": [{"weekday": 0, "open": "09:00", "close": "12:00"}]}
    changed = world.ask("PUT", f"/operators/{operator['id']}/hours", token=world.manager, json=hours)
    assert changed.json()["hours"] == hours["hours"]
    assert world.ask("PUT", f"/operators/{operator['id']}/hours", token=world.member, json=hours).status_code == 404
    assert world.post(f"/operators/{operator['id']}/leave", world.manager).status_code == 200
    assert world.post(f"/operators/{operator['id']}/leave", world.manager).status_code == 404


def test_an_absence_hands_over_and_names_what_is_uncovered(world: World) -> None:
    away = an_operator(world)
    resource = world.a_resource(rules={"assistance": {"mode": "required"}})
    booked = world.made(f"/resources/{resource}/bookings", world.member, span(tomorrow(2)))
    path, body = f"/operators/{away['id']}/absences", {**span(tomorrow(0), 8), "reason": "病假"}
    assert world.post(path, world.member, json=body).status_code == 404
    found = world.made(path, world.manager, body)
    assert found["taken_over"] == []
    assert [one["booking_id"] for one in found["uncovered"]] == [booked["id"]]
    refused(world.post(f"/operators/{away['id']}/leave", world.manager), 409)
    an_operator(world)
    later = world.made(path, world.manager, body)
    assert [one["booking_id"] for one in later["taken_over"]] == [booked["id"]]


def test_resources_that_share_a_part_exclude_each_other(world: World) -> None:
    pump = world.a_resource(name="真空泵")
    one, other = (world.a_resource(shares=[pump]) for _ in range(2))
    assert world.get(f"/resources/{one}", world.manager).json()["shares"] == [pump]
    assert world.get(f"/resources/{one}").json()["shares"] == []
    world.made(f"/resources/{one}/bookings", world.member, span(tomorrow(2)))
    answer = refused(world.post(f"/resources/{other}/bookings", world.member, json=span(tomorrow(3))), 409, "slot_taken")
    assert answer["conflicts"] == [{"start": tomorrow(3).isoformat(), "end": tomorrow(4).isoformat()}]
    etag = world.get(f"/resources/{other}").headers["etag"]
    wrong = world.ask(
        "PUT", f"/resources/{other}", token=world.manager, json=world.listing(shares=[other]), headers={"if-match": etag}
    )
    assert "shares" in fields(refused(wrong, 422))
    freed = world.ask("PUT", f"/resources/{other}", token=world.manager, json=world.listing(), headers={"if-match": etag})
    assert freed.json()["shares"] == []
    world.made(f"/resources/{other}/bookings", world.member, span(tomorrow(3)))
    assert world.post("/resources", world.manager, json=world.listing(shares=["res_x"])).status_code == 404


def test_a_group_shares_a_quota_and_strangers_do_not_learn_its_members(world: World) -> None:
    mates = [world.an_organisation(), world.organisation]
    named = {"limit": 3, "unit": "hours", "per": "day", "by": "group", "name": "联合体", "organisation_ids": mates}
    resource = world.a_resource(rules={"quotas": [named]})
    path = f"/resources/{resource}/bookings"
    mate = world.a_person("member", organisation_id=mates[0])
    world.made(path, mate, span(tomorrow(2)))
    (reason,) = refused(world.post(path, world.member, json=span(tomorrow(6))), 409)["reasons"]
    assert (reason["code"], reason["group"], reason["used"]) == ("over_quota_hours_shared", "联合体", 2)
    world.made(path, world.member, span(tomorrow(6) + timedelta(days=1)))
    world.made(path, world.a_person("member", organisation_id=world.an_organisation()), span(tomorrow(6)))
    assert world.get(f"/resources/{resource}", world.manager).json()["rules"]["quotas"] == [named]
    told = world.get(f"/resources/{resource}").json()["rules"]["quotas"]
    assert told == [{name: value for name, value in named.items() if name != "organisation_ids"}]


def test_each_class_of_customers_has_its_price_and_the_answer_says_whose(world: World) -> None:
    resource = world.a_resource(policy={"class_prices": {"academic": 20000, "internal": 10000}})
    path = f"/resources/{resource}/bookings"
    college = {"name": "理工学院", "is_sme": False, "customer_class": "academic"}
    department = {"name": "材料系", "is_sme": False, "customer_class": "internal", "institution_id": world.institution}
    elsewhere = {**department, "name": "别家", "institution_id": world.an_institution()}
    prices = world.get(f"/resources/{resource}").json()["class_prices"]
    assert prices == {kind: {"minor": n, "currency": "CNY"} for kind, n in (("academic", 20000), ("internal", 10000))}
    rows = ((college, 40000, "academic"), (department, 20000, "internal"), (elsewhere, 60000, "list"))
    for hour, (body, quote, whose) in zip((2, 5, 8), rows, strict=True):
        firm = world.made("/organisations", world.operator, body)["id"]
        who = world.a_person("member", organisation_id=firm)
        booked = world.made(path, who, span(tomorrow(hour)))
        assert booked["quote"]["minor"] == quote
        told = world.get(f"/bookings/{booked['id']}/quote", who).json()
        assert told["quote"] == booked["quote"]
        assert world.get(f"/bookings/{booked['id']}/quote", world.member).status_code == 404
        assert told["price"] == {"per_hour": {"minor": quote // 2, "currency": "CNY"}, "class": whose}
    for wrong in ({"students": 1}, {"academic": -1}, {"academic": "1"}, [1]):
        answer = world.post("/resources", world.manager, json=world.listing(policy={"class_prices": wrong}))
        assert all(field.startswith("policy.class_prices") for field in fields(refused(answer, 422)))


def a_house_with_one_operator(world: World, chain: str) -> tuple[str, str]:
    """A machine with and one without the offer of help; the operator is there from 08:00 to 12:00, every day."""
    an_operator(world, hours=[{"weekday": day, "open": "08:00", "close": "12:00"} for day in range(7)])
    helped = world.a_resource(chain=chain, rules={"assistance": {"mode": "optional", "supervised_runs": 0}})
    return helped, world.a_resource(chain=chain)


def test_a_search_for_help_finds_when_somebody_is_there(world: World) -> None:
    name = new_id("c")
    helped, _ = a_house_with_one_operator(world, name)
    time = {"free_from": tomorrow(0).isoformat(), "free_to": tomorrow(0, days=3).isoformat()}
    asked = {"chain": name, "hours": "2", **time}
    assert world.get("/resources", world.member, params=asked).json()["total"] == 2
    (hit,) = world.get("/resources", world.member, params={**asked, "assisted": True}).json()["items"]
    assert hit["id"] == helped
    booked = world.made(f"/resources/{helped}/bookings", world.member, {**hit["first_free"], "assisted": True})
    assert (booked["assisted"], booked["quote"]) == (True, hit["cost"])
    (later,) = world.get("/resources", world.member, params={**asked, "assisted": True}).json()["items"]
    assert later["first_free"]["start"] >= booked["end"]
    assert world.get("/resources", world.member, params={**asked, "hours": "5", "assisted": True}).json()["total"] == 0
    assert "free_from" in fields(refused(world.get("/resources", params={"assisted": True}), 422))


def test_a_step_of_a_chain_with_an_operator_is_booked_with_one(world: World) -> None:
    helped, alone = a_house_with_one_operator(world, new_id("c"))
    steps = [{"resource_id": alone, "minutes": 60}, {"resource_id": helped, "minutes": 180, "assisted": True, "gap_max": 1440}]
    window = {"from": tomorrow(0).isoformat(), "until": tomorrow(0, days=3).isoformat()}
    answer = world.post("/chains/proposals", world.member, json={"steps": steps, **window}).json()
    parts = answer["proposals"][0]["parts"]
    assert [part["assisted"] for part in parts] == [False, True]
    wanted = [{name: part[name] for name in ("resource_id", "start", "end", "assisted")} for part in parts]
    made = world.made("/bookings", world.member, {"parts": wanted})
    assert [one["assisted"] for one in made["bookings"]] == [False, True]
    steps = [{"resource_id": alone, "minutes": 60, "assisted": True}]
    answer = world.post("/chains/proposals", world.member, json={"steps": steps, **window}).json()
    assert (answer["proposals"], [one["step"] for one in answer["unserved"]]) == ([], [0])
