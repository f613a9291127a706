"""Claims over JSON: handed in, with a pack that proves itself, paid, rejected and passed on."""

import csv
import hashlib
import io
import json
import zipfile
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from billing import actions, invariants, queries
from billing.quotes import actions as quoting
from marketplace import clock
from marketplace.catalogue.queries import get_resource
from marketplace.people.queries import get_organisation
from tests.billing.test_card_flow import a_use
from tests.builders import a_booking, a_programme, an_entitlement
from tests.web.api.world import World, fields, refused

NOW = clock.now().replace(microsecond=0)
BEGAN = NOW - timedelta(days=2)
PERIOD = {"from": (NOW - timedelta(days=10)).isoformat(), "to": NOW.isoformat()}


def yuan(minor: int) -> dict[str, Any]:
    return {"minor": minor, "currency": "CNY"}


@pytest.fixture
def billed(world: World, client: TestClient) -> tuple[str, str]:
    """The programme's path and a booking of which it pays half of 525.00; the bill was accepted yesterday."""
    with client.app.state.sessions.begin() as session:  # type: ignore[attr-defined]
        firm = get_organisation(session, world.organisation)
        programme = a_programme(session, years=["0.5"], starts_on=(NOW - timedelta(days=90)).date())
        an_entitlement(session, programme, firm, reference="=CXQ-0007")
        booking = a_booking(session, resource=get_resource(session, world.resource), organisation=firm, start=BEGAN)
        quoting.quote_booking(session, booking=booking, organisation=firm, payment_method=None, now=BEGAN - timedelta(days=1))
        run = {"start": BEGAN.isoformat(), "end": (BEGAN + timedelta(minutes=97)).isoformat(), "state": "RUN"}
        a_use(session, booking, pieces=[run], created_at=BEGAN + timedelta(hours=3))
        actions.draft_statements(session, now=BEGAN + timedelta(hours=3))
        statement = queries.statement_of_booking(session, booking.id)
        assert statement is not None
        actions.accept_statement(session, statement_id=statement.id, actor_id="per_1", now=NOW - timedelta(days=1))
        return f"/programmes/{programme.id}/claims", booking.id


def test_a_claim_is_handed_in_and_paid(world: World, billed: tuple[str, str], client: TestClient) -> None:
    path, booking_id = billed
    made = world.made(path, world.operator, PERIOD)
    assert (made["number"], made["state"], made["asked"], made["paid"]) == (1, "submitted", yuan(26250), yuan(0))
    [line] = made["lines"]
    assert (line["booking_id"], line["organisation_id"], line["state"]) == (booking_id, world.organisation, "claimed")
    refused(world.post(path, world.operator, json=PERIOD), 409, "wrong_state")
    body = {"serial": "CZ-0001", "received_on": NOW.date().isoformat()}
    paid = world.post(f"{path}/{made['id']}/pay", world.operator, json=body).json()
    assert (paid["state"], paid["paid"], paid["lines"][0]["state"]) == ("paid", yuan(26250), "paid")
    assert world.get(path, world.operator).json()["items"][0]["serial"] == "CZ-0001"
    assert world.get(f"{path}/{made['id']}", world.operator).json() == paid
    refused(world.post(f"{path}/{made['id']}/pay", world.operator, json=body), 409, "wrong_state")
    passing = {"institution_id": world.institution, "serial": "PB-1"}
    refused(world.post(f"{path}/{made['id']}/payouts", world.operator, json=passing), 409, "wrong_state")
    with client.app.state.sessions() as session:  # type: ignore[attr-defined]
        assert [one for one in invariants.violations(session) if booking_id in one] == []


def test_a_rejected_claim_is_owed_by_the_firm(world: World, billed: tuple[str, str]) -> None:
    path, booking_id = billed
    made = world.made(path, world.operator, PERIOD)
    body = {"reason": "合同缺失", "booking_ids": [booking_id]}
    rejected = world.post(f"{path}/{made['id']}/reject", world.operator, json=body).json()
    assert (rejected["state"], rejected["lines"][0]["reason"]) == ("rejected", "合同缺失")
    bill = world.get(f"/bookings/{booking_id}/statement", world.member).json()
    assert (bill["number"], bill["state"], bill["charge"], bill["customer_pays"]) == (2, "accepted", yuan(0), yuan(26250))
    [granted] = world.get(f"/organisations/{world.organisation}/entitlements", world.member).json()["items"]
    assert (granted["used"], granted["reserved"]) == (yuan(0), yuan(0))
    receipt = {"serial": f"R-{booking_id}", "amount": yuan(52500)}
    assert world.post(f"/bookings/{booking_id}/statement/receipts", world.manager, json=receipt).status_code == 201
    assert world.get(f"/bookings/{booking_id}/statement", world.member).json()["state"] == "settled"


def test_what_is_wrong_is_named_and_others_see_nothing(world: World, billed: tuple[str, str]) -> None:
    path, _ = billed
    made = world.made(path, world.operator, PERIOD)
    late = {**PERIOD, "to": (NOW + timedelta(days=1)).isoformat()}
    assert fields(refused(world.post(path, world.operator, json=late), 422, "invalid")) == {"to"}
    reply = world.post(f"{path}/{made['id']}/reject", world.operator, json={"reason": " "})
    assert fields(refused(reply, 422, "invalid")) == {"reason"}
    for token in (world.member, world.manager):
        for below in ("", f"/{made['id']}", f"/{made['id']}/pack"):
            refused(world.get(path + below, token), 404, "not_found")
    refused(world.get(f"{path}/clm_none", world.operator), 404, "not_found")


def test_a_pack_holds_the_claim_its_bills_and_their_evidence_and_proves_itself(world: World, billed: tuple[str, str]) -> None:
    path, booking_id = billed
    receipt = {"serial": f"FIRM-{booking_id}", "amount": yuan(26250)}
    assert world.post(f"/bookings/{booking_id}/statement/receipts", world.manager, json=receipt).status_code == 201
    made = world.made(path, world.operator, PERIOD)
    reply = world.get(f"{path}/{made['id']}/pack", world.operator)
    assert reply.headers["content-type"] == "application/zip"
    content = reply.content  # type: ignore[attr-defined]
    assert world.get(f"{path}/{made['id']}/pack", world.operator).content == content  # type: ignore[attr-defined]
    archive = zipfile.ZipFile(io.BytesIO(content))
    manifest = json.loads(archive.read("manifest.json"))
    for file in manifest["files"]:
        assert hashlib.sha256(archive.read(file["name"])).hexdigest() == file["sha256"]
    assert {file["name"] for file in manifest["files"]} == set(archive.namelist()) - {"manifest.json"}
    assert (manifest["claim"]["asked"], manifest["claim"]["bank_serial"]) == (yuan(26250), None)
    [row] = csv.DictReader(io.StringIO(archive.read("claim.csv").decode("utf-8-sig")))
    assert (row["booking"], row["charge"], row["base"], row["claimed"]) == (booking_id, "525.00", "525.00", "262.50")
    assert (row["contract"], row["firm_paid_by"], row["fapiao"]) == ("'=CXQ-0007", f"FIRM-{booking_id}", "")
    lines = list(csv.DictReader(io.StringIO(archive.read(row["file"]).decode("utf-8-sig"))))
    assert [(one["line"], one["minutes"], one["amount"]) for one in lines[:2]] == [
        ("usage", "105", "525.00"),
        ("programme", "", "-262.50"),
    ]
    assert [one["minutes"] for one in lines if one["line"] in {"booked", "confirmed", "billed"}] == ["120.0", "97.0", "105.0"]
    [sealed] = csv.DictReader(io.StringIO(archive.read("evidence.csv").decode("utf-8-sig")))
    assert sealed["sha256"]
    assert row["evidence_sha256"] == hashlib.sha256(sealed["sha256"].encode()).hexdigest()
    body = {"serial": "CZ-0009", "received_on": NOW.date().isoformat()}
    assert world.post(f"{path}/{made['id']}/pay", world.operator, json=body).status_code == 200
    again = zipfile.ZipFile(io.BytesIO(world.get(f"{path}/{made['id']}/pack", world.operator).content))  # type: ignore[attr-defined]
    assert json.loads(again.read("manifest.json"))["claim"]["bank_serial"] == "CZ-0009"
