"""A statement is objected to line by line, and answered line by line, over JSON."""

from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from billing import actions, invariants
from billing.quotes import actions as quoting
from devices.matching import Verdict
from devices.tables import ConfirmedUse
from marketplace import clock
from marketplace.catalogue.queries import get_resource
from marketplace.ids import new_id
from marketplace.people.queries import get_organisation
from marketplace.tables import Message
from tests.builders import a_booking
from tests.web.api.test_api_statements import BEGAN, ENDED, yuan
from tests.web.api.world import World, refused


@pytest.fixture
def statement(world: World, client: TestClient) -> str:
    """The path of a drafted statement: two hours at 300.00, all of them used, and half an hour more."""
    with client.app.state.sessions.begin() as session:  # type: ignore[attr-defined]
        firm = get_organisation(session, world.organisation)
        booking = a_booking(session, resource=get_resource(session, world.resource), organisation=firm, start=BEGAN, hours=2)
        quoting.quote_booking(session, booking=booking, organisation=firm, payment_method=None, now=BEGAN - timedelta(days=3))
        over = ENDED + timedelta(minutes=30)
        run = {"start": BEGAN.isoformat(), "end": over.isoformat(), "state": "RUN"}
        used = dict.fromkeys(("early_s", "unverified_s", "fault_s", "energy_wh"), 0)
        session.add(
            ConfirmedUse(
                id=new_id("cu"), booking_id=booking.id, number=1, verdict=Verdict.FULFILLED, booked_s=7200, confirmed_s=7200,
                overrun_s=1800, pieces=[run], created_at=over, **used,
            )
        )  # fmt: skip
        session.flush()
        actions.draft_statements(session, now=clock.now())
        return f"/bookings/{booking.id}/statement"


DOUBTS = [{"line": 1, "reason": "最后半小时是设备自检"}]


def answer(minor: int, *, line: int = 1, words: str = "") -> dict[str, Any]:
    return {"lines": [{"line": line, "amount": yuan(minor), "answer": words}]}


def test_a_line_is_objected_to_answered_and_accepted(world: World, client: TestClient, statement: str) -> None:
    drafted = world.get(statement, world.member).json()
    assert [(one["code"], one["amount"]) for one in drafted["lines"]] == [("usage", yuan(60000)), ("overtime", yuan(22500))]
    disputed = world.post(f"{statement}/dispute", world.member, json={"lines": DOUBTS}).json()
    assert disputed["objections"] == [{**DOUBTS[0], "amount": None, "answer": None}]
    resolved = world.post(f"{statement}/resolve", world.manager, json=answer(7500, words="自检十分钟")).json()
    assert (resolved["state"], resolved["number"], resolved["charge"], resolved["objections"]) == ("open", 2, yuan(67500), [])
    assert resolved["lines"][-1] == {"code": "correction", "of_line": 1, "amount": yuan(-15000)}
    assert world.post(f"{statement}/accept", world.member).json()["charge"] == yuan(67500)
    with client.app.state.sessions() as session:  # type: ignore[attr-defined]
        assert invariants.violations(session) == []
        assert "statement_disputed" in session.scalars(select(Message.kind)).all()


def test_what_stands_as_drafted_is_an_answer_too(world: World, statement: str) -> None:
    world.post(f"{statement}/dispute", world.member, json={"reason": "请核对", "lines": DOUBTS})
    resolved = world.post(f"{statement}/resolve", world.manager, json=answer(22500, words="计量无误")).json()
    assert (resolved["charge"], len(resolved["lines"])) == (yuan(82500), 2)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "reason"),
        ({"lines": [{"line": 2, "reason": "没有"}]}, "lines.0.line"),
        ({"lines": [{"line": -1, "reason": "没有"}]}, "lines.0.line"),
        ({"lines": [*DOUBTS, *DOUBTS]}, "lines.1.line"),
        ({"lines": [{"line": 0, "reason": " "}]}, "lines.0.reason"),
        ({"lines": [{"line": 0, "reason": "x" * 1001}]}, "lines.0.reason"),
    ],
)
def test_an_objection_names_lines_and_says_why(world: World, statement: str, body: dict[str, Any], field: str) -> None:
    found = world.post(f"{statement}/dispute", world.member, json=body)
    refused(found, 422, "invalid")
    assert field in found.text
    assert world.get(statement, world.member).json()["state"] == "open"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"lines": []},
        {"charge": yuan(1), **answer(1)},
        answer(1, line=0),
        answer(22501),
        {"lines": [*answer(1)["lines"], *answer(1)["lines"]]},
        {"lines": [{"line": 1, "amount": {"minor": 1, "currency": "EUR"}}]},
    ],
)
def test_an_answer_covers_what_was_objected_to_and_raises_nothing(world: World, statement: str, body: dict[str, Any]) -> None:
    world.post(f"{statement}/dispute", world.member, json={"lines": DOUBTS})
    refused(world.post(f"{statement}/resolve", world.manager, json=body), 422, "invalid")
    refused(world.post(f"{statement}/resolve", world.member, json=answer(1)), 403, "not_allowed")
    shown = world.get(statement, world.member).json()
    assert (shown["state"], shown["number"], shown["objections"][0]["amount"]) == ("disputed", 1, None)


def test_the_whole_can_be_answered_although_lines_were_named(world: World, statement: str) -> None:
    world.post(f"{statement}/dispute", world.member, json={"lines": DOUBTS})
    assert world.post(f"{statement}/resolve", world.manager, json={"charge": yuan(60000)}).json()["charge"] == yuan(60000)
