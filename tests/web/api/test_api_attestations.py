"""Statements of use over the API: who may read, state, sign; what is refused; what follows for use, booking and bill."""

import base64
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session, sessionmaker

from billing import actions as billing
from booking import actions as bookings
from booking.tables import Booking
from devices import actions, queries
from devices.intake import actions as intake
from devices.readings import Envelope
from marketplace import clock
from marketplace.catalogue.queries import get_resource
from marketplace.people import queries as people
from tests.builders import a_booking
from tests.devices.papers import JPEG, PDF, PNG
from tests.web.api.world import World, refused


@dataclass
class Case:
    """Booked for two hours yesterday; the meter was heard around it and never within."""

    world: World
    sessions: sessionmaker[Session]
    booking: str
    start: datetime
    people: dict[str, str] = field(default_factory=dict)

    def body(self, *minutes: tuple[int, int], document: bytes = PDF, **more: Any) -> dict[str, Any]:
        spans = [(self.start + timedelta(minutes=a), self.start + timedelta(minutes=b)) for a, b in minutes]
        stretches = [{"start": a.isoformat(), "end": b.isoformat()} for a, b in spans]
        return {"stretches": stretches, "document": base64.b64encode(document).decode(), **more}

    @property
    def path(self) -> str:
        return f"/bookings/{self.booking}/attestations"

    def stated(self, *minutes: tuple[int, int], by: str = "", **more: Any) -> str:
        return str(self.world.made(self.path, by or self.world.manager, self.body(*minutes, **more))["id"])

    def run_jobs(self) -> None:
        with self.sessions.begin() as session:
            billing.draft_statements(session, now=clock.now())


@pytest.fixture
def case(client: TestClient, world: World) -> Case:
    sessions: sessionmaker[Session] = client.app.state.sessions  # type: ignore[attr-defined]
    start = clock.now().replace(hour=3, minute=0, second=0, microsecond=0) - timedelta(days=1)
    made = world.made(f"/resources/{world.resource}/devices", world.manager, {"name": "表", "profile": "native"})
    with sessions.begin() as session:
        booked = a_booking(session, resource=get_resource(session, world.resource), start=start, hours=2)
        member = people.find_actor_by_token(session, world.member, now=clock.now())
        assert member is not None
        booked.person_id, booked.organisation_id = member.known_id, world.organisation
        moments = [start + timedelta(minutes=one) for one in (*range(-60, 1), *range(120, 200))]
        told = [orjson.dumps({"ts": int(at.timestamp() * 1000), "p": 8.0, "e": 5.0}) for at in moments]
        intake.store(session, [Envelope(f"d/{made['key']}/t", one, at) for one, at in zip(told, moments, strict=True)])
        settle(session, booked, start + timedelta(minutes=200))
        return Case(world, sessions, booked.id, start)


def settle(session: Session, booked: Booking, now: datetime) -> None:
    """What the worker's jobs do."""
    while actions.fold_devices(session, now=now, limit=1000):
        pass
    actions.confirm_uses(session, now=now, limit=1000)
    use = queries.use_of_booking(session, booked.id)
    assert use is not None
    bookings.conclude(session, booking_id=booked.id, outcome=queries.OUTCOMES[use.verdict], now=now)


def test_both_sides_agree_and_use_and_booking_follow(case: Case) -> None:
    world = case.world
    before = world.get(case.path, world.member).json()
    assert (before["items"], before["sides"]) == ([], ["user"])
    assert before["silent"] == [{"start": case.start.isoformat(), "end": (case.start + timedelta(hours=2)).isoformat()}]
    key = case.stated((10, 70), note="批记录 12 页")
    waiting = world.get(case.path, world.member).json()["items"][0]
    assert (waiting["state"], waiting["side"], waiting["unused"], waiting["note"]) == ("open", "provider", False, "批记录 12 页")
    assert world.get(f"/bookings/{case.booking}", world.member).json()["state"] == "unverifiable"
    signed = world.post(f"/attestations/{key}/sign", world.member)
    assert (signed.status_code, signed.json()["state"]) == (200, "signed")
    use = world.get(f"/bookings/{case.booking}/use", world.member).json()
    assert (use["verdict"], use["confirmed_s"], use["attested_s"], use["grade"], use["number"]) == (
        "fulfilled",
        3600,
        3600,
        "D",
        2,
    )
    assert world.get(f"/bookings/{case.booking}", world.member).json()["state"] == "completed"


def test_each_role_sees_and_does_what_is_theirs(case: Case) -> None:
    world = case.world
    house, firm = {"institution_id": world.institution}, {"organisation_id": world.organisation}
    inside = {role: world.a_person(role, **house) for role in ("manager", "technician", "finance")}
    colleague, evaluator = world.a_person("member", **firm), world.a_person("evaluator")
    stranger, other = world.a_person(), world.a_person("manager", institution_id=world.an_institution())
    key = case.stated((10, 70))
    document = f"/attestations/{key}/document"
    for token in (world.manager, world.member, inside["technician"], colleague, evaluator, world.operator):
        assert world.get(case.path, token).status_code == 200
        assert world.get(document, token).content == PDF  # type: ignore[attr-defined]
    for token in (stranger, other, inside["finance"]):
        for method, path in (("GET", case.path), ("GET", document), ("POST", f"/attestations/{key}/sign")):
            refused(world.ask(method, path, token=token), 404, "not_found")
        refused(world.post(case.path, token, json=case.body((10, 70))), 404, "not_found")
    refused(world.get(case.path), 401)
    for token in (evaluator, world.operator):
        refused(world.post(case.path, token, json=case.body((10, 70))), 403, "not_allowed")
        refused(world.post(f"/attestations/{key}/sign", token), 403, "not_allowed")
        refused(world.post(f"/attestations/{key}/decline", token, json={"reason": "x"}), 403, "not_allowed")
        refused(world.post(f"/attestations/{key}/withdraw", token), 403, "not_allowed")
    for token in (world.manager, inside["manager"], inside["technician"]):
        refused(world.post(f"/attestations/{key}/sign", token), 403, "not_allowed")
    refused(world.post(f"/attestations/{key}/withdraw", colleague), 403, "not_allowed")
    assert world.post(f"/attestations/{key}/sign", colleague).status_code == 200


def test_who_belongs_to_both_sides_signs_for_one(case: Case) -> None:
    world = case.world
    both = world.made(
        "/people",
        world.operator,
        {
            "email": f"{case.booking}@example.com",
            "name": "双方",
            "memberships": [
                {"role": "manager", "institution_id": world.institution},
                {"role": "member", "organisation_id": world.organisation},
            ],
        },
    )["token"]
    refused(world.post(case.path, both, json=case.body((10, 70))), 422, "invalid")
    key = case.stated((10, 70), by=both, side="user")
    refused(world.post(f"/attestations/{key}/sign", both), 403, "not_allowed")
    refused(world.post(f"/attestations/{key}/sign", world.member), 403, "not_allowed")
    assert world.post(f"/attestations/{key}/sign", world.manager).status_code == 200


def test_a_decline_says_why_and_a_withdrawn_one_is_over(case: Case) -> None:
    world = case.world
    key = case.stated((10, 70))
    refused(world.post(case.path, world.member, json=case.body((10, 70))), 409, "wrong_state")
    refused(world.post(f"/attestations/{key}/decline", world.member, json={}), 422)
    told = world.post(f"/attestations/{key}/decline", world.member, json={"reason": "只用了半小时"}).json()
    assert (told["state"], told["reason"]) == ("declined", "只用了半小时")
    gone = refused(world.post(f"/attestations/{key}/sign", world.member), 409, "wrong_state")
    assert "not open any more" in gone["detail"]
    again = case.stated((10, 40))
    assert world.post(f"/attestations/{again}/withdraw", world.manager).json()["state"] == "withdrawn"
    assert [one["state"] for one in world.get(case.path, world.member).json()["items"]] == ["withdrawn", "declined"]


def test_what_does_not_fit_is_named(case: Case) -> None:
    world = case.world
    told = refused(world.post(case.path, world.manager, json=case.body((110, 130))), 422, "invalid")
    assert told["reasons"][0]["field"] == "stretches"
    assert "idle or off from" in told["reasons"][0]["reason"]
    for document in (b"<html>", b"%PDF-1.4 without an end", b"MZ"):
        told = refused(world.post(case.path, world.manager, json=case.body((10, 70), document=document)), 422, "invalid")
        assert told["reasons"][0]["field"] == "document"
    refused(world.post(case.path, world.manager, json={**case.body((10, 70)), "document": "%%%"}), 422, "invalid")
    refused(world.post(case.path, world.manager, json=case.body((10, 70), unused=True)), 422, "invalid")
    refused(world.post(case.path, world.manager, json=case.body()), 422, "invalid")
    refused(world.post(case.path, world.manager, json=case.body((10, 10))), 422, "invalid")
    refused(world.post(case.path, world.manager, json=case.body(*[(n, n + 1) for n in range(0, 60, 2)])), 422, "malformed")


def test_a_large_document_comes_through_and_a_larger_one_does_not(case: Case) -> None:
    world = case.world
    padded = PDF[:-7] + b"\n%" + b"0" * (5 * 1024 * 1024 - len(PDF) - 2) + b"\n%%EOF\n"
    assert len(padded) <= 5 * 1024 * 1024
    key = case.stated((10, 70), document=padded)
    assert world.get(f"/attestations/{key}/document", world.member).content == padded  # type: ignore[attr-defined]
    refused(world.post(case.path, world.member, json=case.body((10, 70), document=padded * 2)), 413, "too_large")


@pytest.mark.parametrize(
    ("content", "media"), [(PDF, "application/pdf"), (PNG, "image/png"), (JPEG, "image/jpeg")], ids=["pdf", "png", "jpeg"]
)
def test_a_document_is_saved_and_never_run(case: Case, content: bytes, media: str) -> None:
    key = case.stated((10, 70), document=content)
    reply = case.world.get(f"/attestations/{key}/document", case.world.member)
    assert reply.headers["content-type"] == media
    assert reply.headers["content-disposition"].startswith("attachment;")
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["content-security-policy"].startswith("sandbox")


def test_the_same_request_again_is_one_statement(case: Case) -> None:
    world, body = case.world, case.body((10, 70))
    first = world.post(case.path, world.manager, key="k1", json=body)
    again = world.post(case.path, world.manager, key="k1", json=body)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["id"] == again.json()["id"]
    assert again.headers["idempotency-replayed"] == "true"
    signed = [world.post(f"/attestations/{first.json()['id']}/sign", world.member, key="k2") for _ in range(2)]
    assert [one.json()["state"] for one in signed] == ["signed", "signed"]
    assert world.get(f"/bookings/{case.booking}/use", world.member).json()["number"] == 2
