"""Rules that a publisher sets over JSON: told back as given, and every booking held to them."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from marketplace.db import open_engine, open_sessions
from tests.web.api.world import World, fields, refused, span, tomorrow
from web.timers import expire_holds

QUOTA = {"limit": 3, "unit": "hours", "per": "day", "by": "organisation"}


def ruled(world: World, **rules: Any) -> str:
    """A resource with these rules."""
    return world.a_resource(rules=rules)


def rules_told(world: World, resource: str) -> dict[str, Any]:
    reply = world.get(f"/resources/{resource}", world.manager)
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()["rules"]
    return found


def change(world: World, resource: str, **changes: Any) -> None:
    etag = world.get(f"/resources/{resource}").headers["etag"]
    body = world.listing(**changes)
    reply = world.ask("PUT", f"/resources/{resource}", token=world.manager, json=body, headers={"if-match": etag})
    assert reply.status_code == 200, reply.text


def test_rules_that_are_not_given_have_their_defaults(world: World) -> None:
    assert rules_told(world, world.resource) == {
        "min_min": 1, "max_min": 44640, "notice_min": 0, "horizon_days": 365, "setup_min": 0, "cleaning_min": 0,
        "buffer_mode": "sum", "buffers_in_closed": True, "waive_own_buffers": False, "capacity_mode": "places",
        "approval": "instant", "trusted": [], "decide_within_h": None, "offer_min": None, "check_in_grace_min": None,
        "overtime_min": None, "audience": [], "exceptions": [], "holidays": None, "quotas": [],
        "qualifications": [], "assistance": {"mode": "none", "operators": [], "supervised_runs": 0},
    }  # fmt: skip


def test_a_quota_is_told_back_and_refuses_with_all_other_reasons(world: World) -> None:
    resource = ruled(world, quotas=[QUOTA], min_min=60)
    assert rules_told(world, resource)["quotas"] == [QUOTA]
    path = f"/resources/{resource}/bookings"
    world.made(path, world.member, span(tomorrow(2)))
    body = refused(world.post(path, world.member, json=span(tomorrow(6))), 409, "refused_by_rules")
    (reason,) = body["reasons"]
    assert reason["code"] == "over_quota_hours"
    assert (reason["limit"], reason["used"], reason["asked"]) == (3, 2, 2)
    assert reason["override_by"] == ["manager", "operator"]
    assert len(body["alternatives"]) == 3
    for free in body["alternatives"]:
        assert world.post(path, world.member, json=free).status_code in {201, 409}
    both = refused(world.post(path, world.member, json=span(tomorrow(2), 1.5)), 409, "slot_taken")
    assert [one["code"] for one in both["reasons"]] == ["over_quota_hours", "slot_taken"]
    third = world.post(path, world.member, json=span(tomorrow(6), 0.5))
    assert [one["code"] for one in refused(third, 409)["reasons"]] == ["too_short"]


def test_bookings_of_other_days_do_not_count_and_a_put_without_quotas_ends_them(world: World) -> None:
    resource = ruled(world, quotas=[{**QUOTA, "limit": 1, "unit": "count", "by": "person"}])
    path = f"/resources/{resource}/bookings"
    world.made(path, world.member, span(tomorrow(2), 1))
    world.made(path, world.member, span(tomorrow(2) + timedelta(days=1), 1))
    refused(world.post(path, world.member, json=span(tomorrow(4), 1)), 409)
    change(world, resource)
    assert rules_told(world, resource)["quotas"] == []
    world.made(path, world.member, span(tomorrow(4), 1))


@pytest.mark.parametrize(
    ("rules", "field"),
    [
        ({"quotas": [{**QUOTA, "limit": 0}]}, "rules.quotas.0.limit"),
        ({"quotas": [{**QUOTA, "per": "year"}]}, "rules.quotas.0.per"),
        ({"quotas": [{**QUOTA, "room": 1}]}, "rules.quotas.0.room"),
        ({"quotas": [QUOTA] * 21}, "rules.quotas"),
        ({"quotas": [{**QUOTA, "by": "group"}]}, "rules.quotas.0"),
        ({"quotas": [{**QUOTA, "group": "industry"}]}, "rules.quotas.0"),
        ({"quotas": [{**QUOTA, "by": "group", "name": "x", "organisation_ids": ["org_x"]}]}, "rules.quotas"),
        ({"quotas": [{**QUOTA, "by": "group", "name": "x", "person_ids": ["per_x"]}]}, "rules.quotas"),
        ({"qualifications": [{"qualification_id": "qlf_x", "level": 1}]}, "rules.qualifications"),
        ({"qualifications": [{"qualification_id": "qlf_x", "level": 0}]}, "rules.qualifications.0.level"),
        ({"capacity_mode": "pool", "buffer_mode": "max"}, "rules.capacity_mode"),
        ({"capacity_mode": "pool", "waive_own_buffers": True}, "rules.capacity_mode"),
        ({"assistance": {"mode": "sometimes"}}, "rules.assistance.mode"),
        ({"assistance": {"mode": "none", "supervised_runs": 1}}, "rules.assistance"),
        ({"assistance": {"mode": "required", "operators": ["opr_x"]}}, "rules.assistance"),
        ({"holidays": "XX"}, "rules.holidays"),
        ({"approval": "trusted"}, "rules"),
        ({"approval": "request", "trusted": ["org_x"]}, "rules"),
        ({"approval": "trusted", "trusted": ["org_x"]}, "rules.trusted"),
        ({"buffers_in_closed": "no"}, "rules.buffers_in_closed"),
        ({"decide_within_h": 0}, "rules.decide_within_h"),
        ({"offer_min": 4}, "rules.offer_min"),
        ({"check_in_grace_min": 4}, "rules.check_in_grace_min"),
        ({"overtime_min": 61}, "rules.overtime_min"),
        ({"overtime_min": -1}, "rules.overtime_min"),
        ({"audience": [{}]}, "rules.audience.0"),
        ({"audience": [{"group": "own", "organisation_id": "org_x"}]}, "rules.audience.0"),
        ({"audience": [{"organisation_id": "org_x"}]}, "rules.audience"),
        ({"audience": [{"group": "everyone"}]}, "rules.audience.0.group"),
        ({"exceptions": [{"date": "2026-02-30", "hours": []}]}, "rules.exceptions.0.date"),
        ({"exceptions": [{"date": 20260201, "hours": []}]}, "rules.exceptions.0.date"),
        ({"exceptions": [{"date": "2026-02-01"}]}, "rules.exceptions.0.hours"),
        ({"exceptions": [{"date": "2026-02-01", "hours": []}] * 2}, "rules.exceptions"),
        ({"exceptions": [{"date": "2026-02-01", "hours": [{"open": "09:00", "close": "08:00"}]}]}, "hours"),
    ],
)
def test_rules_that_mean_nothing_are_refused_by_name(world: World, rules: dict[str, Any], field: str) -> None:
    body = refused(world.post("/resources", world.manager, json=world.listing(rules=rules)), 422)
    assert field in fields(body)


def test_a_dated_exception_is_told_back_and_is_what_free_time_and_admission_keep_to(world: World) -> None:
    day = (tomorrow() + timedelta(days=3)).date()
    following = day + timedelta(days=1)
    exceptions = [
        {"date": day.isoformat(), "hours": [{"open": "10:00", "close": "12:00"}, {"open": "22:00", "close": "24:00"}]},
        {"date": following.isoformat(), "hours": []},
    ]
    resource = ruled(world, exceptions=exceptions, holidays="CN")
    told = rules_told(world, resource)
    assert (told["exceptions"], told["holidays"]) == (exceptions, "CN")
    window = {"from": f"{day}T00:00:00+08:00", "to": f"{following}T23:59:00+08:00"}
    free = world.get(f"/resources/{resource}/availability", params=window).json()["free"]
    assert free == [
        {"start": f"{day}T02:00:00+00:00", "end": f"{day}T04:00:00+00:00"},
        {"start": f"{day}T14:00:00+00:00", "end": f"{day}T16:00:00+00:00"},
    ]
    path = f"/resources/{resource}/bookings"
    closed = {"start": f"{day}T03:00:00+00:00", "end": f"{day}T05:00:00+00:00"}
    body = refused(world.post(path, world.member, json=closed), 409)
    assert [reason["code"] for reason in body["reasons"]] == ["outside_hours"]
    assert body["alternatives"][0] == free[0]
    for slot in free:
        world.made(path, world.member, slot)


def test_an_audience_is_told_to_its_publisher_whole_and_to_others_without_names(world: World) -> None:
    partner = world.an_organisation()
    day = (tomorrow() + timedelta(days=2)).date().isoformat()
    audience = [{"group": "own"}, {"group": "academic", "since": day}, {"organisation_id": partner}]
    resource = ruled(world, audience=audience, approval="trusted", trusted=[partner], decide_within_h=48)
    told = rules_told(world, resource)
    assert told["audience"] == audience
    assert (told["approval"], told["trusted"], told["decide_within_h"]) == ("trusted", [partner], 48)
    others = world.get(f"/resources/{resource}").json()["rules"]
    assert partner not in str(others)
    assert others["audience"] == [*audience[:2], {"organisation_id": None}]
    path = f"/resources/{resource}/bookings"
    body = refused(world.post(path, world.member, json=span(tomorrow())), 409, "refused_by_rules")
    (reason,) = body["reasons"]
    assert (reason["code"], reason["groups"]) == ("not_in_audience", ["academic", "own"])
    assert body["alternatives"] == []
    friend = world.a_person("member", organisation_id=partner)
    made = world.made(path, friend, span(tomorrow()))
    assert (made["state"], made["decide_by"]) == ("confirmed", None)
    change(world, resource, rules={"approval": "request", "decide_within_h": 1})
    asked = world.made(path, world.member, span(tomorrow(5)))
    assert asked["state"] == "requested"
    assert asked["decide_by"] is not None
    assert world.post(f"/bookings/{asked['id']}/approve", world.manager).json()["state"] == "confirmed"


def test_buffers_that_must_be_open_keep_uses_from_the_edges_of_the_day(world: World) -> None:
    hours = [{"weekday": day, "open": "09:00", "close": "17:00"} for day in range(7)]
    day = tomorrow(days=3).date()
    window = {"from": f"{day}T00:00:00+08:00", "to": f"{day}T23:00:00+08:00"}
    at_the_edge = {"start": f"{day}T09:00:00+08:00", "end": f"{day}T10:00:00+08:00"}
    rules = {"setup_min": 15, "cleaning_min": 45}
    lenient = world.a_resource(hours=hours, rules=rules)
    world.made(f"/resources/{lenient}/bookings", world.member, at_the_edge)
    strict = world.a_resource(hours=hours, rules={**rules, "buffers_in_closed": False})
    assert rules_told(world, strict)["buffers_in_closed"] is False
    free = world.get(f"/resources/{strict}/availability", params=window).json()["free"]
    assert free == [{"start": f"{day}T01:15:00+00:00", "end": f"{day}T08:15:00+00:00"}]
    body = refused(world.post(f"/resources/{strict}/bookings", world.member, json=at_the_edge), 409)
    (reason,) = body["reasons"]
    assert (reason["code"], reason["setup_min"], reason["cleaning_min"]) == ("buffers_outside_hours", 15, 45)
    assert body["alternatives"][0] == {"start": f"{day}T01:15:00+00:00", "end": f"{day}T02:15:00+00:00"}
    world.made(f"/resources/{strict}/bookings", world.member, free[0])


def test_only_the_publisher_and_the_operator_book_against_the_rules(world: World) -> None:
    resource = ruled(world, min_min=120)
    path = f"/resources/{resource}/bookings"
    short, override = span(tomorrow(2), 1), {"override": {"reason": "repair of a batch"}}
    refused(world.post(path, world.member, json={**short, **override}), 403, "not_allowed")
    other = world.a_person("manager", institution_id=world.an_institution())
    refused(world.post(path, other, json={**short, **override}), 403, "not_allowed")
    technician = world.a_person("technician", institution_id=world.institution)
    refused(world.post(path, technician, json={**short, **override}), 403, "not_allowed")
    refused(world.post(path, world.manager, json=short), 409, "refused_by_rules")
    world.made(path, world.manager, {**short, **override})
    taken = {**span(tomorrow(2, 30), 1), **override}
    body = refused(world.post(path, world.manager, json=taken), 409, "slot_taken")
    assert [reason["code"] for reason in body["reasons"]] == ["slot_taken"]
    for_a_firm = {**span(tomorrow(5), 1), **override, "organisation_id": world.organisation}
    world.made(path, world.operator, for_a_firm)
    past = {**span(tomorrow(2, days=-2), 1), **override}
    body = refused(world.post(path, world.manager, json=past), 409)
    assert [reason["code"] for reason in body["reasons"]] == ["starts_in_past"]


def test_a_booking_is_moved_against_the_rules_by_the_publisher_only(world: World) -> None:
    resource = ruled(world, min_min=120)
    made = world.made(f"/resources/{resource}/bookings", world.member, span(tomorrow(2)))
    body = {**span(tomorrow(8), 1), "override": {"reason": "shift swap"}}

    def move(token: str, **changes: Any) -> Any:
        path, version = f"/bookings/{made['id']}", {"if-match": f'"{made["version"]}"'}
        return world.ask("PATCH", path, token=token, json={**body, **changes}, headers=version)

    refused(move(world.member), 403, "not_allowed")
    refused(move(world.manager, override=None), 409, "refused_by_rules")
    moved = move(world.manager)
    assert moved.status_code == 200, moved.text
    assert moved.json()["start"] == tomorrow(8).isoformat()


def test_series_are_made_and_edited_against_the_rules_by_the_publisher_only(world: World) -> None:
    resource = ruled(world, min_min=120)
    path = f"/resources/{resource}/booking-series"
    why = {"override": {"reason": "a customer's batch"}}
    weekly = {**span(tomorrow(2), 1), "rrule": "FREQ=WEEKLY;COUNT=3"}
    refused(world.post(path, world.member, json={**weekly, **why}), 403, "not_allowed")
    body = refused(world.post(path, world.manager, json=weekly), 409, "series_refused")
    assert {tuple(reason["override_by"]) for reason in body["reasons"]} == {("manager", "operator")}
    world.made(path, world.manager, {**weekly, **why})
    made = world.made(path, world.member, {**span(tomorrow(5), 2), "rrule": "FREQ=WEEKLY;COUNT=3"})

    def edit(token: str, **changes: Any) -> Any:
        version = world.get(f"/booking-series/{made['id']}", token).headers["etag"]
        body = {"scope": "all", **span(tomorrow(8), 1), **changes}
        return world.ask("PATCH", f"/booking-series/{made['id']}", token=token, json=body, headers={"if-match": version})

    refused(edit(world.member, **why), 403, "not_allowed")
    refused(edit(world.manager), 409, "series_refused")
    assert edit(world.manager, **why).json()["bookings"][0]["start"] == tomorrow(8).isoformat()
    last = made["bookings"][-1]
    following = {"scope": "this_and_following", "from": last["id"], **span(tomorrow(11, days=14), 1)}
    refused(edit(world.manager, **following), 409, "series_refused")
    later = edit(world.manager, **following, **why).json()
    assert [one["id"] for one in later["bookings"]] == [last["id"]]


@pytest.mark.parametrize("override", [{}, {"reason": ""}, {"reason": " "}, {"reason": "x" * 1001}, "because"])
def test_an_override_without_a_reason_is_malformed(world: World, override: Any) -> None:
    body = {**span(tomorrow(2)), "override": override}
    reply = world.post(f"/resources/{world.resource}/bookings", world.manager, json=body)
    assert any("override" in name for name in fields(refused(reply, 422)))


def test_back_to_back_runs_of_one_customer_keep_no_buffers_between_them(world: World) -> None:
    resource = ruled(world, setup_min=15, cleaning_min=30, waive_own_buffers=True)
    assert rules_told(world, resource)["waive_own_buffers"] is True
    path = f"/resources/{resource}/bookings"
    first = world.made(path, world.member, span(tomorrow(4)))
    world.made(path, world.member, span(tomorrow(6)))
    stranger = world.a_person("member", organisation_id=world.an_organisation())
    refused(world.post(path, stranger, json=span(tomorrow(8))), 409, "slot_taken")
    assert world.post(f"/bookings/{first['id']}/cancel", world.member).status_code == 200
    body = refused(world.post(path, stranger, json=span(tomorrow(4))), 409, "slot_taken")
    assert body["conflicts"] == [span(tomorrow(5, 45), 0.25)]  # the set-up that came back
    world.made(path, world.member, span(tomorrow(4)))


def test_the_worker_ends_a_request_at_its_deadline_and_its_slot_is_free(world: World, api_url: str) -> None:
    resource = ruled(world, approval="request", decide_within_h=1)
    path = f"/resources/{resource}/bookings"
    asked = world.made(path, world.member, span(tomorrow(2)))
    deadline = datetime.fromisoformat(asked["decide_by"])
    engine = open_engine(api_url)
    states = []
    for now in (deadline - timedelta(seconds=1), deadline):
        with open_sessions(engine).begin() as session:
            expire_holds(session, now)
        states.append(world.get(f"/bookings/{asked['id']}", world.member).json()["state"])
    engine.dispose()
    assert states == ["requested", "expired"]
    refused(world.post(f"/bookings/{asked['id']}/approve", world.manager), 409, "wrong_state")
    world.made(path, world.member, span(tomorrow(2)))
