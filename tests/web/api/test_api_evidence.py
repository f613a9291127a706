"""Seals are everybody's; a resource's messages and proofs are for those who work there or evaluate it."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from devices import actions
from devices.evidence.keys import read_signer
from devices.evidence.verifying import verify
from devices.intake import actions as intake
from devices.tables import Device
from marketplace import clock
from marketplace.db import open_engine, open_sessions
from marketplace.people.actions import create_person, create_token
from marketplace.permissions import Grant
from marketplace.roles import Role
from marketplace.settings import Settings
from tests.devices.evidences import DAY, a_device, heard, message, sealed
from tests.devices.evidences import at as moment
from tests.web.api.world import World, a_world, refused
from web.app import create_app
from web.schema import METADATA

SIGNER = read_signer("7a" * 32, Path("nowhere"))
SPAN = {"from": "2026-03-10", "to": "2026-03-10"}


@pytest.fixture(scope="module")
def metered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A market of its own, for a day is sealed once: a resource with a day of messages, two days sealed."""
    url = f"sqlite:///{tmp_path_factory.mktemp('market')}/market.db"
    engine = open_engine(url)
    METADATA.create_all(engine)
    with open_sessions(engine).begin() as session:
        grants = [Grant(Role.OPERATOR)]
        person = create_person(session, email="o@example.com", name="平台运营", grants=grants, actor_id=None, now=clock.now())
        operator = create_token(session, person_id=person.id, label="tests", now=clock.now())
    engine.dispose()
    with TestClient(create_app(Settings(database_url=url))) as client:
        world = a_world(client, operator)
        made = world.made(f"/resources/{world.resource}/devices", world.manager, {"name": "plug", "profile": "native"})
        with client.app.state.sessions.begin() as session:  # type: ignore[attr-defined]
            device = session.get(Device, made["id"])
            device.created_at = moment(0, 0)
            heard(session, device, days=1)
            intake.store(session, [message(a_device(session), moment(1, 5), 8)])
            while actions.fold_devices(session, now=moment(2, 0)):
                pass
            sealed(session, SIGNER, until=2)
        yield world


def test_anyone_reads_the_seals_page_by_page(metered: World) -> None:
    whole = metered.get("/evidence").json()
    assert [(row["number"], row["day"], row["records"], row["key"]) for row in whole["items"]] == [
        (2, "2026-03-11", 2, SIGNER.key), (1, "2026-03-10", 2, SIGNER.key),
    ]  # fmt: skip
    assert whole["items"][0]["previous"] == whole["items"][1]["digest"]
    first = metered.get("/evidence", params={"limit": 1}).json()
    rest = metered.get("/evidence", params={"limit": 1, "cursor": first["next_cursor"]}).json()
    assert ([*first["items"], *rest["items"]], rest["next_cursor"]) == (whole["items"], None)


def test_evidence_is_had_over_the_api_and_agrees(metered: World, tmp_path: Path) -> None:
    reply: Any = metered.get(f"/resources/{metered.resource}/evidence", metered.manager, params=SPAN)
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/zip")
    zipfile.ZipFile(io.BytesIO(reply.content)).extractall(tmp_path)
    found = verify(tmp_path, keys=[SIGNER.key])
    assert (found.problems, found.messages, found.sessions) == ([], 1440, 2)


def test_evidence_is_for_those_who_work_there_or_evaluate(metered: World) -> None:
    path = f"/resources/{metered.resource}/evidence"
    assert metered.get(path, params=SPAN).status_code == 401
    refused(metered.get(path, metered.member, params=SPAN), 403)
    stranger = metered.a_person("manager", institution_id=metered.an_institution())
    refused(metered.get(path, stranger, params=SPAN), 403)
    evaluator = metered.a_person("evaluator")
    assert metered.get(path, evaluator, params=SPAN).status_code == 200
    assert metered.get("/resources/res_none/evidence", metered.manager, params=SPAN).status_code == 404


@pytest.mark.parametrize(
    ("first", "last", "field"),
    [
        ("2026-03-11", "2026-03-10", "to"),
        ("2026-03-10", "2026-06-10", "to"),
        ("yesterday", "2026-03-10", "from"),
        ("2026-03-10", "", "to"),
        ("2026-03-10", "9999-12-31", "to"),
        ("2026-03-20", "2026-03-21", "from"),
    ],
)
def test_a_span_that_cannot_be_had_is_named(metered: World, first: str, last: str, field: str) -> None:
    reply = metered.get(f"/resources/{metered.resource}/evidence", metered.manager, params={"from": first, "to": last})
    assert field in refused(reply, 422)["reasons"][0]["field"]


def test_a_resource_without_a_meter_has_none(metered: World) -> None:
    assert metered.get(f"/resources/{metered.a_resource()}/evidence", metered.manager, params=SPAN).status_code == 404


def test_the_day_is_the_one_that_was_sealed(metered: World) -> None:
    assert metered.get("/evidence").json()["items"][-1]["day"] == DAY.isoformat()


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_seals_have_a_page_for_everybody(metered: World, lang: str) -> None:
    page = metered.client.request("GET", f"/{lang}/evidence")
    newest = metered.get("/evidence").json()["items"][0]
    assert page.status_code == 200
    assert newest["digest"] in page.text
    assert f"verify-evidence {'文件夹' if lang == 'zh' else 'FOLDER'} --key {SIGNER.key}" in page.text
    assert "before=" not in page.text
    older = metered.client.request("GET", f"/{lang}/evidence", params={"before": newest["number"]})
    assert newest["digest"] not in older.text
