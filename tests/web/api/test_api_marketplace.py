"""contract.md: institutions, organisations, people, resources, search."""

from typing import Any

import pytest

from marketplace.ids import new_id
from tests.web.api.world import World, fields, refused, span, tomorrow


def test_an_institution_has_what_was_said_of_it_and_an_id(world: World) -> None:
    body = {
        "name": "川西研究院",
        "name_en": "West Sichuan",
        "kind": "institute",
        "district": "双流区",
        "timezone": "Asia/Shanghai",
    }
    made = world.made("/institutions", world.operator, body)
    assert made["id"]
    assert {name: made[name] for name in body} == body


def test_an_organisation_is_made_by_the_operator_only(world: World) -> None:
    body = {"name": "一家公司", "credit_code": None, "is_sme": False, "customer_class": "academic"}
    assert world.made("/organisations", world.operator, body)["id"]
    refused(world.post("/organisations", world.manager, json=body), 403, "not_allowed")
    refused(world.post("/organisations", json=body), 401, "not_signed_in")


def test_a_credit_code_is_registered_once_and_its_check_character_must_fit(world: World) -> None:
    code = "91350100M000100Y43"
    body = {"name": "有代码", "credit_code": code, "is_sme": True, "customer_class": "industry"}
    assert world.post("/organisations", world.operator, json=body).status_code in {201, 409}
    refused(world.post("/organisations", world.operator, json=body), 409, "credit_code_taken")
    refused(world.post("/organisations", world.operator, json={**body, "credit_code": code[:-1] + "4"}), 422, "invalid")


def test_a_person_gets_a_token_that_works_and_an_address_only_one_account(world: World) -> None:
    email = f"{new_id('p')}@example.com"
    body = {
        "email": email,
        "name": "王强",
        "locale": "en",
        "memberships": [{"organisation_id": world.organisation, "role": "member"}],
    }
    made = world.made("/people", world.operator, body)
    assert made["token"].startswith("pb_")
    assert world.get("/bookings", made["token"]).json() == {"items": [], "next_cursor": None}
    refused(world.post("/people", world.operator, json=body), 409, "email_taken")


@pytest.mark.parametrize("role", ["operator", "evaluator", "member"])
def test_a_manager_grants_only_the_roles_of_the_own_institution(world: World, role: str) -> None:
    body = {
        "email": f"{new_id('p')}@example.com",
        "name": "x",
        "memberships": [{"institution_id": world.institution, "role": role}],
    }
    refused(world.post("/people", world.manager, json=body), 422, "invalid")


def test_a_manager_invites_nobody_to_another_house_or_the_platform(world: World) -> None:
    elsewhere = world.an_institution()
    memberships: list[list[dict[str, str]]] = [
        [{"institution_id": elsewhere, "role": "technician"}],
        [{"organisation_id": world.organisation, "role": "member"}],
        [{"role": "operator"}],
        [],
    ]
    for asked in memberships:
        body = {"email": f"{new_id('p')}@example.com", "name": "x", "memberships": asked}
        refused(world.post("/people", world.manager, json=body), 403, "not_allowed")
    own = {
        "email": f"{new_id('p')}@example.com",
        "name": "x",
        "memberships": [{"institution_id": world.institution, "role": "technician"}],
    }
    assert world.post("/people", world.manager, json=own).status_code == 201


def test_a_resource_says_everything_that_was_set(world: World) -> None:
    hours = [{"weekday": 0, "open": "09:00", "close": "17:00"}, {"weekday": 6, "open": "00:00", "close": "24:00"}]
    rules = {
        "min_min": 30,
        "max_min": 480,
        "notice_min": 60,
        "horizon_days": 90,
        "setup_min": 15,
        "cleaning_min": 30,
        "buffer_mode": "max",
        "approval": "request",
    }
    parent = world.a_resource(kind="pilot_line", name="中试线")
    body = world.listing(kind="small_line", capacity=3, parent_id=parent, step_min=15, hours=hours, rules=rules)
    made = world.made("/resources", world.manager, body)
    read = world.get(f"/resources/{made['id']}")
    found = read.json()
    assert read.headers["etag"] == f'"{found["version"]}"'
    told = {**found, "rules": {name: found["rules"][name] for name in rules}}
    assert {name: told[name] for name in body} == body
    assert found["state"] == "published"


def test_what_is_left_out_of_a_resource_has_the_defaults_of_the_contract(world: World) -> None:
    found = world.get(f"/resources/{world.resource}").json()
    assert (found["capacity"], found["step_min"], found["hours"]) == (1, 1, [])
    assert (found["rules"]["buffer_mode"], found["rules"]["approval"]) == ("sum", "instant")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "boat"}, "kind"),
        ({"surprise": 1}, "surprise"),
        ({"price_per_hour": 300}, "price_per_hour"),
        ({"price_per_hour": {"minor": 1.5, "currency": "CNY"}}, "price_per_hour.minor"),
        ({"price_per_hour": {"minor": "300", "currency": "CNY"}}, "price_per_hour.minor"),
        ({"price_per_hour": {"minor": True, "currency": "CNY"}}, "price_per_hour.minor"),
        ({"price_per_hour": {"minor": -1, "currency": "CNY"}}, "price_per_hour.minor"),
        ({"price_per_hour": {"minor": 1, "currency": "QQQ"}}, "price_per_hour.currency"),
        ({"capacity": 0}, "capacity"),
        ({"capacity": "2"}, "capacity"),
        ({"hours": [{"weekday": 7, "open": "09:00", "close": "17:00"}]}, "hours.0.weekday"),
        ({"hours": [{"weekday": 1, "open": "9:00", "close": "17:00"}]}, "hours.0.open"),
        ({"rules": {"buffer_mode": "both"}}, "rules.buffer_mode"),
        ({"rules": {"unknown_rule": 1}}, "rules.unknown_rule"),
        ({"name": "a\u0000b"}, "name"),
        ({"name": ""}, "name"),
    ],
)
def test_a_malformed_resource_is_refused_naming_the_field(world: World, change: dict[str, Any], field: str) -> None:
    body = refused(world.post("/resources", world.manager, json=world.listing(**change)), 422, "malformed")
    assert field in fields(body)


def test_every_malformed_field_is_named_at_once(world: World) -> None:
    body = world.listing(kind="boat", capacity=0, surprise=1)
    assert fields(refused(world.post("/resources", world.manager, json=body), 422)) == {"kind", "capacity", "surprise"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"hours": [{"weekday": 1, "open": "17:00", "close": "09:00"}]}, "hours"),
        ({"rules": {"min_min": 60, "max_min": 30}}, "rules.min_min"),
        ({"commissioned_on": "10.3.2026"}, "commissioned_on"),
        ({"value": {"minor": 1, "currency": "EUR"}}, "value"),
        ({"policy": {"no_such": 1}}, None),
        ({"policy": {"fee_rate": 10**30}}, None),
    ],
)
def test_values_that_do_not_fit_each_other_are_refused(world: World, change: dict[str, Any], field: str | None) -> None:
    body = refused(world.post("/resources", world.manager, json=world.listing(**change)), 422, "invalid")
    assert field is None or field in fields(body)


def test_a_parent_of_another_institution_and_an_unknown_one_are_refused(world: World) -> None:
    other = World(world.client, world.operator, institution=world.an_institution())
    other.manager = world.a_person("manager", institution_id=other.institution)
    parent = other.a_resource()
    refused(world.post("/resources", world.manager, json=world.listing(parent_id=parent)), 422, "invalid")
    refused(world.post("/resources", world.manager, json=world.listing(parent_id="res_none")), 404, "not_found")
    refused(world.post("/resources", other.manager, json=world.listing()), 403, "not_allowed")


def test_an_edit_needs_the_version_that_was_read(world: World) -> None:
    path, body = f"/resources/{world.resource}", world.listing(name="新名字")
    etag = world.get(path).headers["etag"]
    refused(world.ask("PUT", path, token=world.manager, json=body), 428, "precondition_required")
    refused(world.ask("PUT", path, token=world.manager, json=body, headers={"if-match": "three"}), 422)
    refused(world.ask("PUT", path, token=world.member, json=body, headers={"if-match": etag}), 403)
    elsewhere = {**body, "institution_id": world.an_institution()}
    told = refused(world.ask("PUT", path, token=world.manager, json=elsewhere, headers={"if-match": etag}), 422, "invalid")
    assert told["reasons"][0]["field"] == "institution_id"
    edited = world.ask("PUT", path, token=world.manager, json=body, headers={"if-match": etag})
    assert edited.status_code == 200
    assert edited.json()["name"] == "新名字"
    assert edited.headers["etag"] == f'"{edited.json()["version"]}"' != etag
    refused(world.ask("PUT", path, token=world.manager, json=body, headers={"if-match": etag}), 412, "stale")
    assert world.get(path).headers["etag"] == edited.headers["etag"]


def test_a_listing_is_paused_and_retired_and_then_unknown_to_strangers(world: World) -> None:
    path = f"/resources/{world.resource}"
    refused(world.post(f"{path}/pause", world.member), 403, "not_allowed")
    assert world.post(f"{path}/pause", world.manager).json()["state"] == "paused"
    assert world.get(path).status_code == 200
    body = refused(world.post(f"{path}/bookings", world.member, json=span(tomorrow())), 409)
    assert "not_bookable" in {reason["code"] for reason in body["reasons"]}
    refused(world.post(f"{path}/pause", world.manager), 409, "wrong_state")
    assert world.post(f"{path}/retire", world.manager).json()["state"] == "retired"
    for stranger in (None, world.member):
        refused(world.get(path, stranger), 404, "not_found")
        refused(world.get(f"{path}/status", stranger), 404, "not_found")
    assert world.get(path, world.manager).status_code == 200
    refused(world.post(f"{path}/publish", world.manager), 409, "wrong_state")
    refused(world.post(f"{path}/explode", world.manager), 404, "not_found")


@pytest.mark.parametrize("step", ["nowhere", "waiting-list"])
def test_what_a_resource_does_not_offer_is_not_found(world: World, step: str) -> None:
    for token in (None, world.member, world.manager):
        refused(world.post(f"/resources/{world.resource}/{step}", token, json={}), 404, "not_found")


def test_search_finds_in_both_languages_and_says_why(world: World) -> None:
    name = new_id("机器")
    made = world.a_resource(name=f"{name} 喷雾干燥塔", name_en="Spray dryer tower", chain=name, district="武侯区")
    for asked in ("喷雾干燥", "spray dryer"):
        (hit,) = world.get("/resources", params={"q": asked, "chain": name}).json()["items"]
        assert hit["id"] == made
        assert hit["why"]


def test_search_narrows_sorts_and_pages(world: World) -> None:
    chain = new_id("c")
    prices = [300, 100, 200]
    for price in prices:
        world.a_resource(chain=chain, price_per_hour={"minor": price, "currency": "CNY"})
    query = {"chain": chain, "sort": "price", "limit": 2}
    first = world.get("/resources", params=query).json()
    rest = world.get("/resources", params={**query, "cursor": first["next_cursor"]}).json()
    found = [hit["price_per_hour"]["minor"] for hit in first["items"] + rest["items"]]
    assert found == [100, 200, 300]
    assert (first["total"], rest["next_cursor"]) == (3, None)
    assert {"value": "instrument", "count": 3} in first["facets"]["kind"]
    cheap = world.get("/resources", params={"chain": chain, "max_price": 150}).json()
    assert [hit["price_per_hour"]["minor"] for hit in cheap["items"]] == [100]


def test_search_by_free_time_leaves_out_what_is_taken(world: World) -> None:
    chain = new_id("c")
    taken, free = world.a_resource(chain=chain), world.a_resource(chain=chain)
    start = tomorrow(3)
    world.made(f"/resources/{taken}/bookings", world.member, span(start, 4))
    query = {"chain": chain, "free_from": start.isoformat(), "free_to": span(start, 4)["end"], "hours": "2"}
    assert [hit["id"] for hit in world.get("/resources", params=query).json()["items"]] == [free]


@pytest.mark.parametrize(
    "query",
    [
        {"surprise": "1"},
        {"kind": "boat"},
        {"sort": "luck"},
        {"cursor": "🙂"},
        {"cursor": "%%%"},
        {"limit": "0"},
        {"limit": "many"},
        {"max_price": "1e3"},
        {"max_price": "9" * 40},
        {"free_from": "2026-03-10"},
        {"free_from": "2026-03-10T09:00:00"},
        {"free_from": "1773000000"},
        {"free_from": "2027-03-10T09:00:00Z", "free_to": "2027-03-10T08:00:00Z"},
        {"free_from": "2027-03-10T09:00:00Z", "free_to": "2028-03-10T08:00:00Z"},
        {"free_from": "2027-03-10T09:00:00Z", "hours": "1e300"},
        {"free_from": "2027-03-10T09:00:00Z", "hours": "-1"},
        {"free_from": "2027-03-10T09:00:00Z", "hours": "NaN"},
        {"free_to": "2027-03-10T09:00:00Z"},
    ],
)
def test_a_search_that_makes_no_sense_is_refused(world: World, query: dict[str, str]) -> None:
    refused(world.get("/resources", params=query), 422)


@pytest.mark.parametrize("text", ["\u0000", "'; DROP TABLE resources; --", "%_\\", "\ud83d\ude42", "\u202e", "a" * 5000])
def test_no_words_break_the_search(world: World, text: str) -> None:
    reply = world.get("/resources", params={"q": text.encode("utf-16", "surrogatepass").decode("utf-16")})
    assert reply.status_code in {200, 422}


def test_institutions_are_listed_for_everyone(world: World) -> None:
    found = world.get("/institutions", params={"limit": 200}).json()
    assert set(found) == {"items", "next_cursor"}


def test_a_listing_takes_a_tariff_and_a_tax_with_its_policy_and_tells_them(world: World) -> None:
    policy = {
        "tariff": [
            {"window": {"from": "22:00", "to": "06:00"}, "price": 20000},
            {"class": "academic", "from_hours": "8", "price": 100},
        ],
        "tax": {"rate": "0.06", "mode": "included"},
    }
    path = f"/resources/{world.resource}"
    etag = world.get(path).headers["etag"]
    reply = world.ask("PUT", path, token=world.manager, json=world.listing(policy=policy), headers={"if-match": etag})
    assert reply.status_code == 200, reply.text
    told = world.get(path).json()
    assert told["tariff"][0]["window"] == {"weekdays": [0, 1, 2, 3, 4, 5, 6], "from": "22:00", "to": "06:00"}
    assert told["tariff"][1] == {"class": "academic", "from_hours": "8", "price": 100}
    assert told["tax"] == policy["tax"]
