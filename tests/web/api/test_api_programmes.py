"""Programmes over JSON: drafted, simulated, published, granted; reserved with a booking and told on its statement."""

from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from billing import actions
from booking.tables import Booking
from marketplace import clock
from marketplace.ids import new_id
from tests.billing.test_card_flow import a_use
from tests.web.api.world import World, fields, refused, span, tomorrow


def yuan(minor: int) -> dict[str, Any]:
    return {"minor": minor, "currency": "CNY"}


def a_draft(world: World, **changes: Any) -> dict[str, Any]:
    body = {
        "name": f"成都市创新券 {new_id('n')}",
        "payer": "成都市科技局",
        "kind": "voucher",
        "starts_on": f"{tomorrow().year}-01-01",
        "years": [{"number": 1, "rate": "0.5"}, {"number": 2, "rate": "0.3"}],
    }
    return world.made("/programmes", world.operator, {**body, **changes})


def published(world: World, **changes: Any) -> str:
    row = a_draft(world, **changes)
    reply = world.post(f"/programmes/{row['id']}/publish", world.operator)
    assert reply.status_code == 200
    assert reply.json()["published_at"]
    return str(row["id"])


def granted(world: World, programme_id: str, minor: int, **changes: Any) -> dict[str, Any]:
    both = [
        world.made(f"/programmes/{programme_id}/grants", world.operator, _grant(world, minor, year=y, **changes)) for y in (1, 2)
    ]
    return both[0]


def _grant(world: World, minor: int, **changes: Any) -> dict[str, Any]:
    return {"organisation_id": world.organisation, "amount": yuan(minor), "reference": "CXQ-0007", **changes}


def test_a_programme_is_drafted_published_and_granted(world: World) -> None:
    row = a_draft(world)
    assert [year["rate"] for year in row["years"]] == ["0.5", "0.3"]
    assert (row["mode"], row["base"], row["stack"], row["published_at"]) == ("deduct", "service", None, None)
    path = f"/programmes/{row['id']}"
    refused(world.get(path, world.member), 404, "not_found")
    refused(world.get(f"{path}/grants", world.member), 404, "not_found")
    assert world.post(f"{path}/publish", world.operator).status_code == 200
    refused(world.post(f"{path}/publish", world.operator), 409, "wrong_state")
    assert world.get(path, world.member).json()["name"] == row["name"]
    assert row["id"] in [one["id"] for one in world.get("/programmes", world.member).json()["items"]]
    made = world.made(f"{path}/grants", world.operator, _grant(world, 100000))
    assert (made["granted"], made["left"], made["used"]) == (yuan(100000), yuan(100000), yuan(0))
    mine = world.get(f"/organisations/{world.organisation}/entitlements", world.member).json()["items"]
    assert [(one["id"], one["rate"], one["reference"]) for one in mine] == [(made["id"], "0.5", "CXQ-0007")]
    assert world.get(f"{path}/grants", world.member).json()["items"] == [made]
    assert world.get(f"{path}/grants", world.manager).json()["items"] == []
    refused(world.get(f"/organisations/{world.organisation}/entitlements", world.manager), 404, "not_found")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("", {"name": "x", "payer": "y", "kind": "voucher", "starts_on": "2026-01-01"}),
        ("/{id}/years", {"number": 3, "rate": "0.1"}),
        ("/{id}/publish", None),
        ("/{id}/grants", {"organisation_id": "org_1", "amount": {"minor": 1, "currency": "CNY"}}),
        ("/{id}/claims", {"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}),
    ],
)
def test_only_the_operator_changes_programmes(world: World, path: str, body: dict[str, Any] | None) -> None:
    found = published(world)
    for token in (world.member, world.manager):
        refused(world.post(f"/programmes{path.format(id=found)}", token, json=body), 404, "not_found")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"timezone": "Chengdu"}, "timezone"),
        ({"years": [{"number": 1, "rate": "1.5"}]}, "rate"),
        ({"years": [{"number": 1, "rate": "0.5", "booking_cap": {"minor": 1, "currency": "EUR"}}]}, "booking_cap"),
        ({"starts_on": "1999-01-01"}, "starts_on"),
        ({"kind": "gift"}, "kind"),
    ],
)
def test_what_is_wrong_with_a_programme_is_named(world: World, changes: dict[str, Any], field: str) -> None:
    body = {"name": "x", "payer": "y", "kind": "voucher", "starts_on": "2026-01-01", **changes}
    assert fields(refused(world.post("/programmes", world.operator, json=body), 422)) == {field}


def test_a_grant_over_the_years_cap_is_refused(world: World) -> None:
    found = published(world, years=[{"number": 1, "rate": "0.5", "year_cap": yuan(5000)}])
    reply = world.post(f"/programmes/{found}/grants", world.operator, json=_grant(world, 5001))
    assert fields(refused(reply, 422, "invalid")) == {"amount"}
    reply = world.post(f"/programmes/{found}/grants", world.operator, json=_grant(world, 5000, year=2))
    assert fields(refused(reply, 422, "invalid")) == {"year"}


def test_a_booking_reserves_and_a_cancelled_one_gives_back(world: World) -> None:
    found = published(world)
    granted(world, found, 20000)
    made = world.a_booking(**span(tomorrow(days=10)))
    [part] = world.get(f"/bookings/{made['id']}/programmes", world.member).json()["items"]
    assert (part["programme_id"], part["mode"], part["reserved"], part["used"]) == (found, "deduct", yuan(20000), yuan(0))
    left = lambda: {one["left"]["minor"] for one in world.get(f"/programmes/{found}/grants", world.member).json()["items"]}  # noqa: E731
    assert 0 in left()
    assert world.post(f"/bookings/{made['id']}/cancel", world.member).status_code == 200
    assert left() == {20000}


def test_a_statement_tells_which_programme_pays(world: World, client: TestClient) -> None:
    found = published(world)
    granted(world, found, 20000)
    start = tomorrow(days=3)
    made = world.a_booking(**span(start))
    with client.app.state.sessions.begin() as session:  # type: ignore[attr-defined]
        run = {"start": start.isoformat(), "end": (start + timedelta(minutes=97)).isoformat(), "state": "RUN"}
        a_use(session, session.get_one(Booking, made["id"]), pieces=[run])
        actions.draft_statements(session, now=clock.now())
    path = f"/bookings/{made['id']}/statement"
    shown = world.get(path, world.member).json()
    assert (shown["charge"], shown["customer_pays"]) == (yuan(52500), yuan(32500))
    assert [(line["code"], line["amount"]["minor"]) for line in shown["lines"]] == [("usage", 52500), ("programme", -20000)]
    [part] = shown["programmes"]
    assert (part["programme_id"], part["amount"], part["state"]) == (found, yuan(20000), "drafted")
    assert world.post(f"{path}/accept", world.member).json()["programmes"][0]["state"] == "owed"


def test_a_simulation_tells_what_the_last_quarter_would_have_cost(world: World, client: TestClient) -> None:
    row = a_draft(world, years=[{"number": 1, "rate": "0.5", "booking_cap": yuan(10000)}])
    found = world.get(f"/programmes/{row['id']}/simulation?year=1", world.operator).json()
    assert found["complete"] is True
    assert found["programme_pays"]["minor"] == sum(one["programme_pays"]["minor"] for one in found["organisations"])
    refused(world.get(f"/programmes/{row['id']}/simulation?year=2", world.operator), 404, "not_found")
    refused(world.get(f"/programmes/{row['id']}/simulation?year={10**30}", world.operator), 404, "not_found")
    refused(world.get(f"/programmes/{row['id']}/simulation", world.member), 404, "not_found")
