"""Many meters at once: made from a file, their secrets told once into a file of one's own, and let in by both brokers."""

import csv
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devices import queries
from devices.logins import Account, Admitted, Login, judge
from devices.registry import actions as registry
from marketplace import clock
from marketplace.refusals import Refusal
from marketplace.tables import Person
from tests.web.transfer.test_transfer import METER, Desk, verdicts
from web.running import audit

INGEST = Account("ingest", "secret")
MAPPING = {"message": [{"topic": "{branch+}/kw", "format": "scalar", "power": {"path": ".", "scale": 1000}}]}


@pytest.fixture
def desk(database_url: str, tmp_path: Path) -> Iterator[Desk]:
    made = Desk(database_url, tmp_path)
    made.fill()
    yield made
    made.engine.dispose()


def told_once(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def a_meter(number: int, **changes: Any) -> dict[str, Any]:
    return {**METER, "key": f"N{number}", "name": f"电表 {number}", **changes}


def test_each_made_device_has_its_line_and_comes_in_with_it(desk: Desk, tmp_path: Path) -> None:
    out = tmp_path / "new.csv"
    found = [a_meter(1), a_meter(2, resource_id="R9"), a_meter(3, key="=N3", profile=MAPPING), METER]
    told = desk.take("devices", found, "--secrets", str(out))
    assert [verdict for _, verdict in verdicts(told)] == ["made", "refused", "made", "known"]
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    rows = told_once(out)
    assert [(row["line"], row["key"], row["device_id"]) for row in rows] == [
        ("1", "N1", told["rows"][0]["id"]),
        ("3", "'=N3", told["rows"][2]["id"]),
    ]
    assert rows[0]["topic"] == f"d/{rows[0]['username']}/tele/SENSOR"
    with desk.sessions() as session:
        for row in rows:
            login = Login(row["username"], row["secret"], row["username"])
            assert isinstance(judge(session, login, account=INGEST, now=clock.now()), Admitted)
        assert {row["username"] for row in rows} <= {key for key, _ in queries.logins(session, at=clock.now())}
        assert audit(session) == []


def test_all_or_nothing_names_row_and_column_and_leaves_neither_device_nor_secret(desk: Desk, tmp_path: Path) -> None:
    out, before = tmp_path / "new.csv", desk.given("devices")
    wrong = [
        a_meter(2, profile="nobody"),
        a_meter(3, thresholds={"p_on": "many"}),
        a_meter(4, thresholds={"p_on": 50, "p_off": 60}),
        a_meter(5, name=""),
        a_meter(6, colour="red"),
    ]
    told = desk.take("devices", [a_meter(1), *wrong], "--secrets", str(out), "--all-or-nothing")
    assert verdicts(told) == [(1, "made"), *[(line, "refused") for line in range(2, 7)]]
    named = [row["reasons"][0]["field"] for row in told["rows"][1:]]
    assert named == ["profile", "thresholds.p_on", "profile.p_off", "name", "colour"]
    assert told["kept"] is False
    assert not out.exists()
    assert desk.given("devices") == before


def test_a_dry_run_needs_no_file_and_makes_none(desk: Desk, tmp_path: Path) -> None:
    before = desk.given("devices")
    for words in ((), ("--secrets", str(tmp_path / "new.csv"))):
        assert verdicts(desk.take("devices", [a_meter(1)], "--dry-run", *words)) == [(1, "made")]
    assert not (tmp_path / "new.csv").exists()
    assert desk.given("devices") == before


@pytest.mark.parametrize("place", ["", "there.csv", "no/folder/new.csv"])
def test_without_a_new_file_for_the_secrets_nothing_is_taken_in(desk: Desk, tmp_path: Path, place: str) -> None:
    before = desk.given("devices")
    (tmp_path / "there.csv").write_text("kept")
    words = ["--secrets", str(tmp_path / place)] if place else []
    with pytest.raises(Refusal) as refused:
        desk.take("devices", [a_meter(1)], *words)
    assert refused.value.code == "file_unreadable"
    assert (tmp_path / "there.csv").read_text() == "kept"
    assert desk.given("devices") == before


def test_what_is_taken_in_a_second_time_leaves_no_empty_file(desk: Desk, tmp_path: Path) -> None:
    out = tmp_path / "new.csv"
    assert verdicts(desk.take("devices", [METER], "--secrets", str(out))) == [(1, "known")]
    assert not out.exists()


def test_a_table_names_family_and_thresholds_in_its_cells(desk: Desk, tmp_path: Path) -> None:
    file, out = tmp_path / "meters.csv", tmp_path / "new.csv"
    file.write_text(
        'key,resource_id,name,profile,thresholds\nC1,R1,电表,shelly2,"{""p_on"": 80, ""p_off"": 20}"\nC2,R1,电表,native,\n'
    )
    told = desk.answer("import", "devices", str(file), "--secrets", str(out))
    assert [verdict for _, verdict in verdicts(told)] == ["made", "made"]
    with desk.sessions() as session:
        profile = queries.profile_of(session, told["rows"][0]["id"], at=clock.now())
    assert (profile.family, profile.p_on, profile.p_off, profile.zone) == ("shelly2", 80, 20, "Asia/Shanghai")


def test_a_submeter_names_its_main_meter_by_key_and_comes_in_after_it(desk: Desk, tmp_path: Path) -> None:
    found = [a_meter(1, measured_by="M1"), a_meter(2, measured_by="N1"), a_meter(3, measured_by="N9")]
    told = desk.take("devices", found, "--secrets", str(tmp_path / "new.csv"))
    assert [verdict for _, verdict in verdicts(told)] == ["made", "made", "refused"]
    assert told["rows"][2]["reasons"][0]["field"] == "measured_by"
    assert [(row["key"], row["measured_by"]) for row in desk.given("devices")] == [("M1", None), ("N1", "M1"), ("N2", "N1")]


def test_a_main_meter_that_came_later_is_given_out_first_and_one_that_is_gone_is_not_named(desk: Desk, tmp_path: Path) -> None:
    told = desk.take("devices", [a_meter(1), a_meter(2)], "--secrets", str(tmp_path / "new.csv"))
    (first, second), now = [row["id"] for row in told["rows"]], clock.now()
    with desk.sessions.begin() as session:
        who = session.query(Person).first()
        assert who
        registry.set_main(session, device_id=first, measured_by=second, actor_id=who.id, now=now)
    assert [(row["key"], row["measured_by"]) for row in desk.given("devices")] == [("M1", None), ("N2", None), ("N1", "N2")]
    with desk.sessions.begin() as session:
        registry.revoke(session, device_id=second, actor_id=who.id, now=now)
    assert [(row["key"], row["measured_by"]) for row in desk.given("devices")] == [("M1", None), ("N1", None)]
