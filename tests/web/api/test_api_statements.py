"""contract.md: a statement is accepted or disputed by the customer, resolved and received by the institution."""

from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from billing import actions, queries
from billing.quotes import actions as quoting
from billing.resale import actions as resale
from booking.states import BookingState
from booking.tables import Booking
from devices.matching import Verdict
from devices.tables import ConfirmedUse
from marketplace import clock
from marketplace.catalogue.queries import get_resource
from marketplace.ids import new_id
from marketplace.people.queries import get_organisation
from tests.billing.test_card_flow import a_use
from tests.builders import a_booking
from tests.web.api.world import World, fields, refused, span, tomorrow

ENDED = clock.now().replace(microsecond=0) - timedelta(hours=20)
BEGAN = ENDED - timedelta(hours=2)


@pytest.fixture
def statement(world: World, client: TestClient) -> str:
    """The path of a drafted statement: two hours at 300.00 booked yesterday, 97 minutes of them used."""
    with client.app.state.sessions.begin() as session:  # type: ignore[attr-defined]
        firm = get_organisation(session, world.organisation)
        booking = a_booking(session, resource=get_resource(session, world.resource), organisation=firm, start=BEGAN, hours=2)
        quoting.quote_booking(session, booking=booking, organisation=firm, payment_method=None, now=BEGAN - timedelta(days=3))
        run = {"start": BEGAN.isoformat(), "end": (BEGAN + timedelta(minutes=97)).isoformat(), "state": "RUN"}
        used = dict.fromkeys(("early_s", "overrun_s", "unverified_s", "fault_s", "energy_wh"), 0)
        session.add(
            ConfirmedUse(
                id=new_id("cu"), booking_id=booking.id, number=1, verdict=Verdict.FULFILLED, booked_s=7200, confirmed_s=5820,
                pieces=[run], created_at=ENDED, **used,
            )
        )  # fmt: skip
        session.flush()
        actions.draft_statements(session, now=clock.now())
        return f"/bookings/{booking.id}/statement"


def yuan(minor: int) -> dict[str, Any]:
    return {"minor": minor, "currency": "CNY"}


def a_receipt(minor: int) -> dict[str, Any]:
    return {"serial": new_id("cmb"), "amount": yuan(minor), "received_on": "2026-03-14"}


def test_a_statement_shows_its_lines_minutes_and_charge(world: World, statement: str) -> None:
    shown = world.get(statement, world.member).json()
    assert (shown["state"], shown["number"], shown["charge"], shown["platform_fee"]) == ("open", 1, yuan(52500), yuan(4200))
    assert shown["minutes"] == {"booked": 120, "logged": 97, "confirmed": 97, "billed": 105}
    assert shown["lines"] == [{"code": "usage", "minutes": 105, "amount": yuan(52500)}]
    assert (shown["accepted_at"], shown["settled_at"]) == (None, None)
    assert world.get(statement, world.manager).json() == shown


def test_the_customer_accepts_once(world: World, statement: str) -> None:
    accepted = world.post(f"{statement}/accept", world.member)
    assert (accepted.status_code, accepted.json()["state"]) == (200, "accepted")
    assert accepted.json()["accepted_at"]
    refused(world.post(f"{statement}/accept", world.member), 409, "wrong_state")
    refused(world.post(f"{statement}/dispute", world.member, json={"reason": "太晚"}), 409, "wrong_state")
    assert world.get(statement, world.member).json() == accepted.json()


def test_a_repeated_acceptance_under_its_key_hears_the_same(world: World, statement: str) -> None:
    one, two = (world.post(f"{statement}/accept", world.member, key="a1") for _ in range(2))
    assert (one.json(), two.status_code, two.headers["idempotency-replayed"]) == (two.json(), 200, "true")


def test_a_disputed_statement_is_resolved_by_the_institution_and_answered_again(world: World, statement: str) -> None:
    disputed = world.post(f"{statement}/dispute", world.member, json={"reason": "设备报警停机"})
    assert (disputed.status_code, disputed.json()["state"]) == (200, "disputed")
    refused(world.post(f"{statement}/dispute", world.member, json={"reason": "再说一次"}), 409, "wrong_state")
    refused(world.post(f"{statement}/resolve", world.member, json={"charge": yuan(1)}), 403, "not_allowed")
    refused(world.post(f"{statement}/resolve", world.manager, json={"charge": yuan(52501)}), 422, "invalid")
    resolved = world.post(f"{statement}/resolve", world.manager, json={"charge": yuan(40000)}).json()
    assert (resolved["number"], resolved["charge"], resolved["state"]) == (2, yuan(40000), "open")
    assert resolved["lines"][-1] == {"code": "correction", "amount": yuan(-12500)}
    assert world.post(f"{statement}/accept", world.member).json()["charge"] == yuan(40000)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid"),
        ({"reason": 5}, "malformed"),
        ({"reason": "x", "surprise": 1}, "malformed"),
        ({"reason": "x" * 5001}, "malformed"),
        ({"reason": ""}, "invalid"),
        ({"reason": " \n "}, "invalid"),
        ({"reason": "x" * 1001}, "invalid"),
    ],
)
def test_a_dispute_says_what_is_wrong(world: World, statement: str, body: dict[str, Any], code: str) -> None:
    assert fields(refused(world.post(f"{statement}/dispute", world.member, json=body), 422, code)) <= {"reason", "surprise"}
    assert world.get(statement, world.member).json()["state"] == "open"


def test_a_statement_is_settled_when_all_of_it_was_received(world: World, statement: str) -> None:
    finance = world.a_person("finance", institution_id=world.institution)
    world.post(f"{statement}/accept", world.member)
    path, first = f"{statement}/receipts", a_receipt(2500)
    assert world.made(path, finance, first)["statement"]["state"] == "accepted"
    refused(world.post(path, finance, json=first), 409, "received_before")
    refused(world.post(path, finance, json=a_receipt(50001)), 422, "invalid")
    refused(world.post(path, finance, json={**a_receipt(1), "received_on": "14.3.2026"}), 422, "invalid")
    assert world.made(path, finance, a_receipt(50000))["statement"]["state"] == "settled"
    assert world.get(statement, world.member).json()["settled_at"]


def test_each_side_does_its_own_part(world: World, statement: str) -> None:
    technician = world.a_person("technician", institution_id=world.institution)
    for someone in (world.manager, technician):
        refused(world.post(f"{statement}/accept", someone), 403, "not_allowed")
        refused(world.post(f"{statement}/dispute", someone, json={"reason": "x"}), 403, "not_allowed")
    for someone in (world.member, technician):
        refused(world.post(f"{statement}/receipts", someone, json=a_receipt(1)), 403, "not_allowed")
    assert world.get(statement, world.member).json()["state"] == "open"


def test_a_stranger_knows_of_no_statement(world: World, statement: str) -> None:
    elsewhere = world.an_institution()
    strangers = [
        world.a_person("member", organisation_id=world.an_organisation()),
        world.a_person("manager", institution_id=elsewhere),
        world.a_person("finance", institution_id=elsewhere),
        world.a_person(),
    ]
    bodies = {"accept": {}, "dispute": {"reason": "x"}, "resolve": {"charge": yuan(1)}, "receipts": a_receipt(1)}
    for someone in strangers:
        refused(world.get(statement, someone), 404, "not_found")
        for step, body in bodies.items():
            refused(world.post(f"{statement}/{step}", someone, json=body), 404, "not_found")
    for step, body in bodies.items():
        refused(world.post(f"{statement}/{step}", json=body), 401, "not_signed_in")
    refused(world.get(statement), 401, "not_signed_in")


def test_a_booking_without_a_statement_has_none_to_answer(world: World) -> None:
    path = f"/bookings/{world.a_booking()['id']}/statement"
    refused(world.post(f"{path}/accept", world.member), 404, "not_found")
    refused(world.post(f"{path}/dispute", world.member, json={"reason": "x"}), 404, "not_found")
    refused(world.post(f"{path}/resolve", world.manager, json={"charge": yuan(1)}), 404, "not_found")


def test_a_fee_whose_time_others_took_is_told_on_the_statement_and_paid_back_by_finance(world: World, client: TestClient) -> None:
    cancelled = world.a_booking()
    fee = world.post(f"/bookings/{cancelled['id']}/cancel", world.member).json()["fee"]
    path, receipt = f"/bookings/{cancelled['id']}/statement", {"serial": new_id("CMB"), "amount": fee}
    assert fee["minor"] > 0
    assert world.post(f"{path}/receipts", world.manager, json=receipt).status_code == 201
    other = world.a_person("member", organisation_id=world.an_organisation())
    resold = world.made(f"/resources/{world.resource}/bookings", other, span(tomorrow(), 1))
    with client.app.state.sessions.begin() as session:  # type: ignore[attr-defined]
        row, now = session.get_one(Booking, resold["id"]), tomorrow(12)
        row.state = BookingState.COMPLETED
        a_use(session, row, minutes=60, booked_s=3600, pieces=[{**span(tomorrow(), 1), "state": "RUN"}])
        actions.draft_statements(session, now=now)
        made = queries.statement_of_booking(session, row.id)
        assert made
        actions.accept_statement(session, statement_id=made.id, actor_id=row.person_id, now=now)
        assert cancelled["id"] in resale.decide_due(session, now=now)
    told = world.get(path, world.member).json()
    assert {line["code"]: line["amount"]["minor"] for line in told["lines"]}["resold"] == -fee["minor"] // 2
    assert (told["charge"]["minor"], told["state"]) == (-fee["minor"] // 2, "accepted")
    body = {"serial": "CMB-9"}
    refused(world.post(f"{path}/returned", world.member, json=body), 403)
    refused(world.post(f"{path}/returned", other, json=body), 404)
    assert "serial" in fields(refused(world.post(f"{path}/returned", world.manager, json={}), 422))
    assert world.post(f"{path}/returned", world.manager, json=body).json()["state"] == "settled"
    refused(world.post(f"{path}/returned", world.manager, json=body), 409)
