"""Files in and out: what goes out comes in again equal, the same file makes nothing twice, and a bad row harms no other."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker
from typer.testing import CliRunner

from booking import queries as bookings
from booking.external import queries as calendars
from booking.tables import Booking, RefusedRequest
from marketplace import clock
from marketplace.db import open_engine, open_sessions
from marketplace.imports import queries as keys
from marketplace.people.actions import create_person
from marketplace.permissions import Grant
from marketplace.refusals import NotAllowed, Refusal
from marketplace.roles import Role
from marketplace.slot import Slot
from marketplace.tables import ListingState, Person, Resource
from tests.conftest import new_database
from web.cli import app
from web.running import audit
from web.transfer.files import Format, rows
from web.transfer.kinds import TURNS, Kind

HOUSE = {"key": "H1", "name": "天府中试基地", "kind": "institute", "timezone": "Asia/Shanghai", "district": "天府新区"}
FIRM = {"key": "F1", "name": "蓉创新材料", "is_sme": True, "customer_class": "industry"}
PEOPLE = [
    {"key": "P1", "email": "firm@example.com", "name": "李梅", "memberships": [{"role": "member", "organisation_id": "F1"}]},
    {"key": "P2", "email": "lab@example.com", "name": "王强", "memberships": [{"role": "manager", "institution_id": "H1"}]},
]
LINE = {
    "key": "R1",
    "institution_id": "H1",
    "kind": "pilot_line",
    "name": "=喷雾干燥线",
    "name_en": "Spray dryer",
    "timezone": "Asia/Shanghai",
    "price_per_hour": {"minor": 54000, "currency": "CNY"},
    "tags": [{"zh": "无菌", "en": "sterile"}],
    "rules": {
        "setup_min": 30,
        "check_in_grace_min": 20,
        "overtime_min": 0,
        "approval": "trusted",
        "trusted": ["F1"],
        "audience": [{"organisation_id": "F1"}, {"group": "own"}],
        "quotas": [
            {
                "limit": 500,
                "unit": "hours",
                "per": "week",
                "by": "group",
                "name": "合作方",
                "organisation_ids": ["F1"],
                "person_ids": ["P1"],
            }
        ],
    },
    "policy": {
        "cancel_tiers": [{"hours": 48, "rate": "0"}],
        "tariff": [{"window": {"from": "22:00", "to": "06:00"}, "price": 20000}],
        "tax": {"rate": "0.06", "mode": "included"},
    },
}
LICENCE = {
    "key": "Q1",
    "institution_id": "H1",
    "name": "激光安全",
    "name_en": "Laser safety",
    "levels": [{"name": "初级", "name_en": None}, {"name": "高级", "name_en": "Advanced"}],
}
GRANT = {"key": "G1", "qualification_id": "Q1", "email": "firm@example.com", "level": 2, "valid_until": "2059-12-31"}
PUMP = {
    "key": "R3",
    "institution_id": "H1",
    "kind": "instrument",
    "name": "真空泵",
    "timezone": "Asia/Shanghai",
    "price_per_hour": {"minor": 0, "currency": "CNY"},
    "state": "draft",
}
MONDAYS = [{"weekday": 0, "open": "08:00", "close": "20:00"}]
STATION = {
    **LINE,
    "key": "R2",
    "parent_id": "R1",
    "name": "混合站",
    "capacity": 2,
    "hours": MONDAYS,
    "rules": {},
    "state": "paused",
}


LASER = {
    **PUMP,
    "key": "R4",
    "name": "激光器",
    "shares": ["R3"],
    "state": "published",
    "rules": {
        "qualifications": [{"qualification_id": "Q1", "level": 2, "unless_assisted": True}],
        "assistance": {"mode": "optional", "operators": ["O1"], "supervised_runs": 1},
    },
}


METER = {"key": "M1", "resource_id": "R1", "name": "=主电源", "profile": "tasmota", "thresholds": {"p_on": 120, "p_off": 40}}


def tomorrow(hour: int) -> datetime:
    return (clock.now() + timedelta(days=1)).replace(hour=hour, minute=0, second=0, microsecond=0)


def a_booking(key: str, first: int, last: int, **changes: Any) -> dict[str, Any]:
    times = {"start": tomorrow(first).isoformat(), "end": tomorrow(last).isoformat()}
    return {"key": key, "resource_id": "R1", "person": "firm@example.com", **times, **changes}


def both(key: str, first: int, last: int, **changes: Any) -> list[dict[str, Any]]:
    """The line and the pump at once."""
    one = a_booking(key, first, last, together=key, **changes)
    return [one, {**one, "key": f"{key}b", "resource_id": "R3"}]


class Desk:
    """A database and the two commands on it."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder, self.engine = url, folder, open_engine(url)
        self.sessions: sessionmaker[Session] = open_sessions(self.engine)
        with self.sessions.begin() as session:
            for name, role in (("root", Role.OPERATOR), ("judge", Role.EVALUATOR)):
                create_person(session, email=f"{name}@x.org", name=name, grants=[Grant(role)], actor_id=None, now=clock.now())

    def run(self, *words: str) -> Result:
        answer = CliRunner().invoke(app, words, env={"PILOTBENCH_DATABASE_URL": self.url})
        if answer.exception and not isinstance(answer.exception, SystemExit):
            raise answer.exception
        return answer

    def take(self, kind: str, found: list[dict[str, Any]], *words: str) -> dict[str, Any]:
        """The answer to rows handed in as JSON lines."""
        file = self.folder / f"{kind}.jsonl"
        file.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in found))
        return self.answer("import", kind, str(file), *words)

    def answer(self, *words: str) -> dict[str, Any]:
        result = self.run(*words, "--json")
        told: dict[str, Any] = json.loads(result.stdout)
        assert result.exit_code == (1 if told["refused"] else 0)
        return told

    def fill(self) -> None:
        for kind, found in (
            ("institutions", [HOUSE]),
            ("organisations", [FIRM]),
            ("people", PEOPLE),
            ("qualifications", [LICENCE]),
            ("grants", [GRANT]),
            ("operators", [{"key": "O1", "institution_id": "H1", "person_id": "P2", "hours": MONDAYS}]),
            ("resources", [LINE, STATION, PUMP, LASER]),
            ("programmes", [SUBSIDY]),
            ("entitlements", [ENTITLED]),
        ):
            told = self.take(kind, found)
            assert told["made"] == len(found), told
        self.take("devices", [METER], "--secrets", str(self.folder / "secrets.csv"))

    def given(self, kind: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.run("export", kind, "--json").stdout)
        return found


SUBSIDY = {
    "key": "P1",
    "name": "成都市退坡补贴",
    "payer": "成都市科技局",
    "kind": "subsidy",
    "starts_on": "2026-01-01",
    "stack": "chengdu",
    "evidence_required": True,
    "years": [{"number": number, "rate": rate} for number, rate in ((1, "0.5"), (2, "0.3"))]
    + [{"number": 3, "rate": "0.1", "booking_cap": {"minor": 5000, "currency": "CNY"}}],
    "published": True,
}
ENTITLED = {
    "key": "E1",
    "programme_id": "P1",
    "organisation_id": "F1",
    "year": 2,
    "amount": {"minor": 12000, "currency": "CNY"},
    "reference": "CXQ-0007",
}


@pytest.fixture
def desk(database_url: str, tmp_path: Path) -> Iterator[Desk]:
    made = Desk(database_url, tmp_path)
    yield made
    made.engine.dispose()


def verdicts(told: dict[str, Any]) -> list[tuple[int, str]]:
    return [(row["line"], row["verdict"]) for row in told["rows"]]


@pytest.mark.parametrize("form", list(Format))
def test_what_is_given_out_comes_in_equal(
    desk: Desk, database: str, request: pytest.FixtureRequest, tmp_path: Path, with_tables: str, form: Format
) -> None:
    desk.fill()
    chain = [a_booking("B2", 4, 5, together="T"), a_booking("B3", 6, 7, together="T")]
    desk.take("bookings", [a_booking("B1", 1, 3, purpose="'=中试"), *chain, a_booking("B4", 8, 10)])
    folder = tmp_path / "other"
    folder.mkdir()
    other = Desk(new_database(database, request, folder, like=with_tables), folder)
    for kind in Kind:
        file = folder / f"{kind}.{form}"
        desk.run("export", kind, "--out", str(file))
        secrets = ("--secrets", str(folder / "secrets.csv")) if kind is Kind.DEVICES else ()
        told = other.answer("import", kind, str(file), *secrets)
        refused = {row["code"] for row in told["rows"] if row["verdict"] == "refused"}
        assert refused <= ({"email_taken"} if kind is Kind.PEOPLE else set()), told
        mine, theirs = desk.given(kind), other.given(kind)
        if kind is Kind.PEOPLE:
            mine, theirs = ([row for row in found if "@x.org" not in row["email"]] for found in (mine, theirs))
        assert theirs == mine
        assert len(mine) == {Kind.PEOPLE: 2, Kind.RESOURCES: 4, Kind.BOOKINGS: 4}.get(kind, 1)
        again = (*secrets[:1], *[f"{file}.again" for file in secrets[1:]])
        assert {verdict for _, verdict in verdicts(other.answer("import", kind, str(file), *again))} <= {"known", "refused"}
    with other.sessions() as session:
        assert audit(session) == []
    other.engine.dispose()


def test_no_secret_is_given_out(desk: Desk) -> None:
    desk.fill()
    with desk.sessions.begin() as session:
        person = session.query(Person).where(Person.email == "firm@example.com").one()
        person.password_hash, person.calendar_secret_hash = "argon-geheim", "feed-geheim"
    assert "geheim" not in "".join(desk.run("export", kind).stdout for kind in Kind)
    assert set(desk.given("people")[0]) == {"key", "email", "name", "locale", "memberships"}


def test_a_refused_row_harms_no_other_and_says_all(desk: Desk) -> None:
    desk.fill()
    found = [
        a_booking("B1", 1, 3),
        a_booking("B2", 2, 4),
        a_booking("B3", 4, 4),
        a_booking("B4", 5, 6, quantity=3),
        a_booking("B5", 5, 6, person="nobody@example.com"),
        a_booking("B6", 5, 6, resource_id="R9"),
        a_booking("B7", 5, 6, start="morgen", quantity="2", colour="red"),
        a_booking("B8", 5, 6, state="cancelled"),
        a_booking("B9", 5, 6),
    ]
    told = desk.take("bookings", found)
    outcomes = ["made", *["refused"] * 6, "passed_over", "made"]
    assert verdicts(told) == list(enumerate(outcomes, 1))
    taken = told["rows"][1]
    assert (taken["code"], [one["code"] for one in taken["reasons"]]) == ("slot_taken", ["slot_taken"])
    assert taken["conflicts"] == [{"start": tomorrow(2).isoformat(), "end": tomorrow(3).isoformat()}]
    assert len(taken["alternatives"]) == 3
    assert [row["code"] for row in told["rows"][2:7]] == ["invalid", "refused_by_rules", "not_found", "not_found", "malformed"]
    assert {one["field"] for one in told["rows"][6]["reasons"]} == {"start", "quantity", "colour"}
    assert (told["made"], told["refused"], told["passed_over"], told["kept"]) == (2, 6, 1, True)
    with desk.sessions() as session:
        assert session.query(RefusedRequest).count() == 2
        assert audit(session) == []


def test_what_a_line_takes_along_comes_in_retired_only_while_nothing_lies_ahead_of_the_line(desk: Desk) -> None:
    desk.fill()
    gone = {**STATION, "capacity": 1, "state": "retired"}
    assert desk.take("resources", [{**gone, "key": "R7"}])["made"] == 1
    desk.take("bookings", [a_booking("B1", 1, 3)])
    [told] = desk.take("resources", [{**gone, "key": "R8"}])["rows"]
    assert (told["verdict"], told["code"]) == ("refused", "lies_ahead")
    assert told["reasons"][0]["bookings"] == 1
    with desk.sessions() as session:
        assert audit(session) == []


def test_the_same_file_makes_nothing_twice_and_a_key_stands_for_one_row(desk: Desk) -> None:
    desk.fill()
    found = [a_booking("B1", 1, 3), {name: value for name, value in a_booking("-", 5, 6).items() if name != "key"}]
    first, again = desk.take("bookings", found), desk.take("bookings", found)
    assert [row["id"] for row in first["rows"]] == [row["id"] for row in again["rows"]]
    assert [verdict for _, verdict in verdicts(again)] == ["known", "known"]
    other = desk.take("bookings", [a_booking("B1", 7, 8)])
    assert other["rows"][0]["code"] == "idempotency_key_reused"
    assert len(desk.given("bookings")) == 2


def test_a_dry_run_tells_the_same_and_keeps_nothing(desk: Desk) -> None:
    desk.fill()
    found = [a_booking("B1", 1, 3), a_booking("B2", 2, 4), a_booking("B3", 4, 5)]
    dry = desk.take("bookings", found, "--dry-run")
    assert desk.given("bookings") == []
    assert not dry["kept"]
    real = desk.take("bookings", found)
    for row in (*dry["rows"], *real["rows"]):
        row.pop("id")
    assert dry["rows"] == real["rows"]


def test_all_or_nothing_is_just_that(desk: Desk) -> None:
    desk.fill()
    bad = desk.take("bookings", [a_booking("B1", 1, 3), a_booking("B2", 2, 4)], "--all-or-nothing")
    assert ([verdict for _, verdict in verdicts(bad)], bad["kept"]) == (["made", "refused"], False)
    assert desk.given("bookings") == []
    good = desk.take("bookings", [a_booking("B1", 1, 3), a_booking("B2", 4, 5)], "--all-or-nothing")
    assert good["kept"]
    assert len(desk.given("bookings")) == 2


def test_a_table_names_its_columns_and_tells_line_by_line(desk: Desk) -> None:
    desk.fill()
    sheet = io.StringIO()
    writer = csv.writer(sheet)
    writer.writerow(["key", "resource_id", "person", "start", "end", "quantity", "purpose"])
    times = [tomorrow(1).isoformat(), tomorrow(2).isoformat()]
    writer.writerow(["B1", "R1", "firm@example.com", *times, "1", "zwei\nZeilen"])
    writer.writerow(["B2", "R1", "firm@example.com", *times, "zwei", ""])
    writer.writerow(["B3", "R1", "firm@example.com", *times, "1", "", "zu viel"])
    file = desk.folder / "b.csv"
    file.write_bytes(b"\xef\xbb\xbf" + sheet.getvalue().encode() + b"B4,R1,\xff\xfe,a,b,1,\r\n")
    result = desk.run("import", "bookings", str(file))
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0].startswith("line 3  made  bk_")
    assert lines[1] == "line 4  refused  malformed"
    assert "quantity" in lines[2]
    assert [line.split("  ")[0] for line in lines if line.startswith("line")] == ["line 3", "line 4", "line 5", "line 6"]
    assert "4 rows: 1 made, 0 known, 0 passed over, 3 refused" in result.stderr


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", b"", "first line"),
        ("a.csv", b"key,key\n", "first line"),
        ("a.json", b"{}", "no list"),
        ("a.json", b"[", "not JSON"),
        ("a.json", b"[" * 100_000, "not JSON"),
        ("a.txt", b"x", "--format"),
        ("a.csv", "key,名\n1,2\n".encode("gbk"), "not UTF-8"),
        ("a.csv", "key,start\n1,2\n".encode("utf-16"), "not UTF-8"),
    ],
)
def test_a_file_that_is_none_is_told(desk: Desk, name: str, content: bytes, reason: str) -> None:
    file = desk.folder / name
    file.write_bytes(content)
    with pytest.raises(Refusal) as refused:
        desk.run("import", "bookings", str(file))
    assert reason in str(refused.value.values["reason"])


def test_rows_that_are_none_are_refused_each(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(b'{"key":"1"}\n[1]\n{\n\n' + b'{"a":"' + b"x" * (2 << 20) + b'"}\n{"key":"5"}\n' + b"[" * 100_000)
    found = [(row.line, row.broken is None) for row in rows(file, Format.JSONL, TURNS)]
    assert found == [(1, True), (2, False), (3, False), (5, False), (6, True), (7, False)]
    table = tmp_path / "a.csv"
    table.write_bytes(b'key,name\n"a"b,c\nd,e\n')
    assert [row.broken is None for row in rows(table, Format.CSV, TURNS)] == [False, True]


def test_only_an_operator_takes_in(desk: Desk) -> None:
    with pytest.raises(NotAllowed):
        desk.take("institutions", [HOUSE], "--as", "judge@x.org")
    with pytest.raises(Refusal) as refused:
        desk.run("import", "secrets", "x.csv")
    assert "bookings" in refused.value.values["kinds"]


def test_a_calendar_of_a_resource_is_taken_in_and_given_out(desk: Desk) -> None:
    desk.fill()
    file = desk.folder / "plan.ics"
    times = f"DTSTART:{tomorrow(3):%Y%m%dT%H%M%SZ}\r\nDURATION:PT1H"
    file.write_text(f"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\n{times}\r\nEND:VEVENT\r\nEND:VCALENDAR")
    made = desk.answer("import", "ics", str(file), "--resource", "R1")
    assert made["rows"][0]["verdict"] == "made"
    assert desk.answer("import", "ics", str(file), "--resource", "R1")["known"] == 1
    told = desk.take("bookings", [a_booking("B1", 3, 4), a_booking("B2", 5, 6)])
    assert [verdict for _, verdict in verdicts(told)] == ["refused", "made"]
    file.write_text("BEGIN:VCALENDAR\r\nEND:VCALENDAR")
    assert desk.answer("import", "ics", str(file), "--resource", "R1", "--name", "plan")["made"] == 1
    with desk.sessions() as session:
        place = session.query(Resource).where(Resource.name == "=喷雾干燥线").one().id
        assert len(calendars.calendars_of(session, place)) == 1
        kinds = {one.kind for one in bookings.busy_time(session, place, within=Slot(tomorrow(0), tomorrow(23)))}
        assert "external" not in kinds
    given = desk.run("export", "ics", "--resource", "R1").stdout
    assert "BEGIN:VEVENT" in given
    assert "firm@example.com" not in given
    file.write_text("<html>")
    refused = desk.answer("import", "ics", str(file), "--resource", "R1")
    assert refused["rows"][0]["code"] == "calendar_unreadable"


@pytest.mark.parametrize(
    ("named", "field"),
    [
        ({"quotas": [{**LINE["rules"]["quotas"][0], "person_ids": ["per_elsewhere"]}]}, "rules.quotas"),
        ({"quotas": [{**LINE["rules"]["quotas"][0], "organisation_ids": ["org_elsewhere"]}]}, "rules.quotas"),
        ({"trusted": ["org_elsewhere"]}, "rules.trusted"),
        ({"qualifications": [{"qualification_id": "qua_elsewhere", "level": 1}]}, "rules.qualifications"),
        ({"assistance": {"mode": "optional", "operators": ["opr_elsewhere"], "supervised_runs": 0}}, "rules.assistance"),
    ],
)
def test_rules_that_name_what_is_not_here_are_refused_by_their_field_and_nothing_of_them_is_kept(
    desk: Desk, named: dict[str, Any], field: str
) -> None:
    desk.fill()
    told = desk.take("resources", [{**LINE, "key": "R9", "rules": {**LINE["rules"], **named}}])
    assert (told["made"], told["refused"]) == (0, 1)
    assert field in json.dumps(told["rows"])
    assert [row["key"] for row in desk.given("resources")] == ["R1", "R3", "R4", "R2"]  # what others name comes before them


def test_grants_are_taken_in_for_whoever_has_the_address_unless_they_are_over(desk: Desk) -> None:
    desk.fill()
    over = {**GRANT, "key": "G2", "valid_until": f"{tomorrow(0) - timedelta(days=3):%Y-%m-%d}"}
    nobody = {**GRANT, "key": "G3", "email": "nobody@example.com"}
    other = {**GRANT, "key": "G4", "qualification_id": "Q9"}
    found = [over, nobody, other, {**GRANT, "key": "G5", "level": 3}, {**GRANT, "key": "G6", "level": 1, "valid_until": None}]
    told = desk.take("grants", found)
    assert [verdict for _, verdict in verdicts(told)] == ["passed_over", "refused", "refused", "refused", "made"]
    assert [row.get("code") for row in told["rows"]] == [None, "invalid", "not_found", "invalid", None]
    assert [row["key"] for row in desk.given("grants")] == ["G1", "G6"]


def test_an_imported_machine_asks_for_what_its_file_names(desk: Desk) -> None:
    desk.fill()
    wish = {"resource_id": "R4", "person": "lab@example.com"}
    told = desk.take("bookings", [a_booking("B1", 1, 3, **wish), a_booking("B2", 1, 3, resource_id="R4", quantity=1)])
    assert [verdict for _, verdict in verdicts(told)] == ["refused", "refused"]
    codes = [[reason["code"] for reason in row["reasons"]] for row in told["rows"]]
    assert codes == [["supervised_run_first", "qualification_missing"], ["supervised_run_first"]]


def test_a_row_with_a_recurrence_rule_is_a_series_whole_or_with_its_gaps(desk: Desk) -> None:
    desk.fill()
    weekly = {"rrule": "FREQ=DAILY;COUNT=3"}
    found = [
        a_booking("B1", 1, 3),
        a_booking("S1", 2, 4, **weekly),
        a_booking("S2", 2, 4, **weekly, on_conflict="skip"),
        a_booking("S3", 5, 6, rrule="FREQ=DAILY"),
    ]
    told = desk.take("bookings", found)
    assert [verdict for _, verdict in verdicts(told)] == ["made", "refused", "made", "refused"]
    assert [row.get("code") for row in told["rows"]] == [None, "slot_taken", None, "invalid"]
    assert [reason["start"] for reason in told["rows"][1]["reasons"]] == [tomorrow(2).isoformat()]
    assert told["rows"][2]["id"].startswith("ser_")
    assert len(desk.given("bookings")) == 3
    assert verdicts(desk.take("bookings", found[2:3])) == [(1, "known")]


def test_a_series_that_skips_names_its_gaps(desk: Desk) -> None:
    desk.fill()
    row = a_booking("S1", 2, 4, rrule="FREQ=DAILY;COUNT=3", on_conflict="skip")
    told = desk.take("bookings", [a_booking("B1", 1, 3), row, a_booking("S2", 5, 6, rrule="FREQ=DAILY;COUNT=2")], "--dry-run")
    [gap] = told["rows"][1]["skipped"]
    assert (gap["start"], gap["end"]) == (tomorrow(2).isoformat(), tomorrow(4).isoformat())
    assert [reason["code"] for reason in gap["reasons"]] == ["slot_taken"]
    assert [one["start"] for one in gap["conflicts"]] == [tomorrow(2).isoformat()]
    assert "skipped" not in told["rows"][0]
    assert "skipped" not in told["rows"][2]
    lines = desk.run("import", "bookings", str(desk.folder / "bookings.jsonl")).stdout.splitlines()
    assert [line.startswith("    skipped: ") for line in lines] == [False, False, True, False]
    assert f"skipped: {gap['start']} to {gap['end']} (slot_taken, taken {gap['start']} to" in lines[2]


@pytest.mark.parametrize("form", [Format.JSON, Format.JSONL])
def test_a_number_with_thousands_of_digits_costs_its_row_only(desk: Desk, form: Format) -> None:
    desk.fill()
    found = [json.dumps(a_booking(key, hour, hour + 1)) for key, hour in (("B1", 1), ("B2", 2), ("B3", 3), ("B4", 5))]
    found[1] = found[1].replace("}", ', "quantity": 1' + "0" * 5000 + "}")
    found[2] = found[2].replace("}", ', "quantity": 1' + "0" * 4000 + "}")
    file = desk.folder / f"big.{form}"
    file.write_text(f"[{','.join(found)}]" if form is Format.JSON else "\n".join(found))
    told = desk.answer("import", "bookings", str(file))
    assert [verdict for _, verdict in verdicts(told)] == ["made", "refused", "refused", "made"]
    assert "more digits" in told["rows"][1]["reasons"][0]["detail"]


@pytest.mark.parametrize("form", list(Format))
def test_a_row_that_is_not_utf_8_is_told_as_such_and_harms_no_other(desk: Desk, form: Format) -> None:
    desk.fill()
    rows = [a_booking("B1", 1, 2), a_booking("B2", 3, 4, purpose="喷雾干燥")]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    text = {
        Format.CSV: "\n".join([",".join([*rows[0], "purpose"]), *(",".join(row.values()) for row in rows)]),
        Format.JSON: f"[{','.join(lines)}]",
        Format.JSONL: "\n".join(lines),
    }[form]
    file = desk.folder / f"gbk.{form}"
    file.write_bytes(text.encode("gbk"))
    told = desk.answer("import", "bookings", str(file))
    assert [verdict for _, verdict in verdicts(told)] == ["made", "refused"]
    assert "not UTF-8" in told["rows"][1]["reasons"][0]["detail"]


def shown(desk: Desk) -> None:
    """The house, with its pump to be booked alone too."""
    desk.fill()
    with desk.sessions.begin() as session:
        pump = keys.id_of(session, Kind.RESOURCES, "R3")
        session.get_one(Resource, pump).state = ListingState.PUBLISHED


def test_rows_that_go_together_are_made_all_or_none_with_the_verdict_of_the_api(desk: Desk) -> None:
    shown(desk)
    desk.take("bookings", [a_booking("B1", 1, 3, resource_id="R3")])
    told = desk.take("bookings", [*both("T1", 2, 4), a_booking("B2", 5, 6), *both("T2", 8, 10)])
    assert verdicts(told) == [(1, "refused"), (2, "refused"), (3, "made"), (4, "made"), (5, "made")]
    first, second = told["rows"][:2]
    assert {name: first[name] for name in first if name not in {"line", "key"}} == {
        name: second[name] for name in second if name not in {"line", "key"}
    }
    assert (first["code"], [(one["code"], one["part"]) for one in first["reasons"]]) == ("slot_taken", [("slot_taken", 1)])
    assert first["conflicts"] == [{"start": tomorrow(2).isoformat(), "end": tomorrow(3).isoformat()}]
    assert first["alternatives"]
    with desk.sessions() as session:
        parts = [session.get_one(Booking, row["id"]) for row in told["rows"][3:]]
        assert len({one.bundle_id for one in parts}) == 1
        assert parts[0].bundle_id
        assert session.get_one(Booking, told["rows"][2]["id"]).bundle_id is None
        turned_away = session.scalars(select(RefusedRequest)).all()
        assert [one.resource_id for one in turned_away] == [keys.id_of(session, Kind.RESOURCES, "R3")]
        assert audit(session) == []
    assert [verdict for _, verdict in verdicts(desk.take("bookings", both("T2", 8, 10)))] == ["known", "known"]
    assert len(desk.given("bookings")) == 4


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"person": "lab@example.com"}, ("person", "is another one than in the first row of it")),
        ({"rrule": "FREQ=DAILY;COUNT=2"}, ("rrule", "does not go with together")),
        ({"start": "morgen"}, ("start", "not a time with offset such as 2026-03-10T09:00:00+08:00")),
    ],
)
def test_one_row_that_is_wrong_keeps_the_others_of_its_name_out(
    desk: Desk, changes: dict[str, str], said: tuple[str, str]
) -> None:
    shown(desk)
    first, second = both("T1", 2, 4)
    told = desk.take("bookings", [first, {**second, **changes}])
    assert [verdict for _, verdict in verdicts(told)] == ["refused", "refused"]
    reasons = [[(one["field"], one["reason"]) for one in row["reasons"]] for row in told["rows"]]
    assert reasons == [[("together", "another row of it is refused")], [said]]
    assert desk.given("bookings") == []


def test_rows_of_a_name_that_stand_apart_or_are_too_many_make_nothing(desk: Desk) -> None:
    shown(desk)
    (first, second), alone = both("T1", 2, 4), a_booking("B1", 6, 8)
    told = desk.take("bookings", [first, alone, second])
    assert [verdict for _, verdict in verdicts(told)] == ["refused", "made", "refused"]
    assert told["rows"][0]["reasons"][0]["reason"] == "its rows do not stand one after another"
    crowd = [a_booking(f"C{n}", 10, 11, together="C") for n in range(21)]
    told = desk.take("bookings", [*crowd, a_booking("B2", 12, 13)])
    assert [verdict for _, verdict in verdicts(told)] == ["refused"] * 21 + ["made"]
    assert told["rows"][20]["reasons"][0]["reason"] == "more than 20 rows"


def test_what_was_taken_in_with_others_takes_no_more_and_what_is_over_is_passed_over(desk: Desk) -> None:
    shown(desk)
    first, second = both("T1", 2, 4)
    told = desk.take("bookings", [first, {**second, "state": "cancelled"}])
    assert [verdict for _, verdict in verdicts(told)] == ["made", "passed_over"]
    told = desk.take("bookings", [first, second])
    assert [verdict for _, verdict in verdicts(told)] == ["refused", "refused"]
    assert told["rows"][1]["reasons"][0]["reason"] == "other rows of it were taken in before"


def test_a_table_ties_rows_by_its_column(desk: Desk) -> None:
    shown(desk)
    file = desk.folder / "bookings.csv"
    times = f"{tomorrow(2).isoformat()},{tomorrow(4).isoformat()}"
    lines = [f"{key},{place},firm@example.com,{times},{name}" for key, place, name in (("B1", "R1", "1"), ("B2", "R3", "1"))]
    file.write_text("\n".join(["key,resource_id,person,start,end,together", *lines]))
    told = desk.answer("import", "bookings", str(file))
    assert told["made"] == 2
    assert [row["together"] for row in desk.given("bookings")] == ["B1", "B1"]


def test_a_table_of_grants_is_taken_in_and_each_wrong_row_named(desk: Desk) -> None:
    desk.fill()
    file = desk.folder / "grants.csv"
    money = '"{""minor"": 5000, ""currency"": ""CNY""}"'
    rows = [f"F1,P1,1,{money},2026-06-30,CXQ-1", f"F1,P1,9,{money},,", f"F9,P1,1,{money},,", f"F1,P1,1,{money},2027-06-30,"]
    file.write_text("organisation_id,programme_id,year,amount,valid_until,reference\n" + "\n".join(rows) + "\n")
    told = desk.answer("import", "entitlements", str(file))
    assert [(row["verdict"], row.get("code")) for row in told["rows"]] == [
        ("made", None),
        ("refused", "invalid"),
        ("refused", "not_found"),
        ("refused", "invalid"),
    ]
    made = next(row for row in desk.given("entitlements") if row["reference"] == "CXQ-1")
    assert (made["programme_id"], made["organisation_id"], made["valid_until"]) == ("P1", "F1", "2026-06-30")
