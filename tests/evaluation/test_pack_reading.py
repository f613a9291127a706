"""A pack is read whole or not at all, and a refusal says where and what to do."""

from pathlib import Path
from typing import Any

import pytest

from evaluation.packs import PackRefused, evaluate_pack
from evaluation.schemes import UnknownScheme
from tests.evaluation.packdirs import Day, a_pack

DAY = Day()


def problems(directory: Path) -> list[str]:
    with pytest.raises(PackRefused) as refused:
        evaluate_pack(directory)
    return [str(problem) for problem in refused.value.problems]


def test_only_run_and_units_are_required(tmp_path: Path) -> None:
    found = evaluate_pack(a_pack(tmp_path, start=DAY.at("00:00"), end=DAY.at("24:00"), units=[DAY.unit()]))
    assert found["ledger"]["u1"]["nst"] == 86400
    assert set(found) == {"units", "ledger", "bookings", "organisations", "scores"}


@pytest.mark.parametrize("name", ["run.json", "units.csv"])
def test_a_missing_required_file_is_named(tmp_path: Path, name: str) -> None:
    directory = DAY.pack(tmp_path)
    (directory / name).unlink()
    assert problems(directory)[0].startswith(f"{name}: is missing")


@pytest.mark.parametrize(
    ("table", "row", "said"),
    [
        ("units", {"unit_id": "u2", "owner_org": ""}, "units.csv, line 2, column owner_org: is empty"),
        ("units", DAY.unit(capacity="many"), "column capacity: 'many' is no whole number"),
        ("units", DAY.unit(tz="Mars/Olympus"), "column tz: 'Mars/Olympus' is no IANA time zone"),
        ("units", DAY.unit(tz="localtime"), "column tz: 'localtime' is no IANA time zone"),
        ("units", DAY.unit(quota_hours="1e9"), "column quota_hours: '1e9' is no decimal number"),
        ("segments", {**DAY.segment("RUN", "09:00", "10:00"), "state": "run"}, "column state: 'run' is not one of RUN, IDLE"),
        ("segments", {**DAY.segment("RUN", "09:00", "10:00"), "start": "2026-03-10T09:00:00"}, "has no offset; add one"),
        ("segments", {**DAY.segment("RUN", "09:00", "10:00"), "start": "2026-03-10"}, "is no instant; write"),
        ("segments", {**DAY.segment("RUN", "10:00", "09:00")}, "column end: does not lie after start"),
        ("segments", {**DAY.segment("RUN", "09:00", "10:00"), "unit_id": "u9"}, "'u9' is not in units.csv"),
        ("bookings", DAY.booking("b1", "09:00", "10:00", qty=2), "column qty: must be between 1 and the unit's capacity 1"),
        ("bookings", DAY.booking("b1", "09:00", "10:00", status="conflict"), "column status: 'conflict' is not one of"),
        ("attestations", DAY.signed("b9", "09:00", "10:00"), "'b9' is no booking of this unit"),
        ("organisation", {"org_id": "o9", "indicator": "A1", "value": "5"}, "'o9' owns no unit"),
        ("organisation", {"org_id": "o1", "indicator": "B1", "value": "20"}, "is computed from facts or unknown"),
        ("organisation", {"org_id": "o1", "indicator": "A1", "value": "five"}, "'five' is no decimal number"),
    ],
)  # fmt: skip
def test_a_bad_cell_is_refused_with_its_place(tmp_path: Path, table: str, row: dict[str, Any], said: str) -> None:
    found = problems(DAY.pack(tmp_path, **{table: [row]}))
    assert any(said in problem for problem in found), found


def test_all_problems_come_at_once_up_to_a_bound(tmp_path: Path) -> None:
    rows = [DAY.segment("RUN", "09:00", "10:00") | {"state": "?"}] * 50
    assert len(problems(DAY.pack(tmp_path, segments=rows))) == 20


def test_a_wrong_header_is_refused(tmp_path: Path) -> None:
    directory = DAY.pack(tmp_path)
    (directory / "segments.csv").write_text("unit_id,begin,end,state\n", encoding="utf-8")
    assert any("column begin: is no column of this table" in problem for problem in problems(directory))


def test_broken_text_is_refused(tmp_path: Path) -> None:
    directory = DAY.pack(tmp_path)
    (directory / "segments.csv").write_bytes("unit_id,start,end,state\n中".encode("gb18030"))
    assert "is not UTF-8" in problems(directory)[0]
    (directory / "segments.csv").write_text('unit_id,start,end,state\n"u1,', encoding="utf-8")
    assert "is no CSV" in problems(directory)[0]


def test_a_table_that_is_no_file_is_refused(tmp_path: Path) -> None:
    directory = DAY.pack(tmp_path)
    (directory / "segments.csv").mkdir()
    (directory / "requests.csv").symlink_to(tmp_path / "nowhere")
    assert problems(directory) == [f"{name}.csv: is no file; put the table itself there" for name in ("segments", "requests")]


@pytest.mark.parametrize(
    "run",
    [
        '{"period_from": "0001-01-01T00:00:00+14:00", "period_to": "0001-01-02T00:00:00+14:00"}',
        "[]",
        "{",
        '{"period_from": 3}',
        '{"period_from": "2026-01-01T00:00:00Z", "period_to": "2026-01-01T00:00:00Z"}',
    ],
)
def test_a_broken_run_is_refused(tmp_path: Path, run: str) -> None:
    directory = DAY.pack(tmp_path)
    (directory / "run.json").write_text(run, encoding="utf-8")
    assert problems(directory)[0].startswith("run.json")


def test_parameters_of_the_run_override_the_schemes(tmp_path: Path) -> None:
    segments = [DAY.segment("RUN", "09:00", "10:00"), DAY.segment("IDLE", "10:00", "10:05"), DAY.segment("RUN", "10:05", "11:00")]
    merged = evaluate_pack(DAY.pack(tmp_path / "a", segments=segments))
    apart = evaluate_pack(
        a_pack(tmp_path / "b", start=DAY.at("00:00"), end=DAY.at("24:00"), units=[DAY.unit()], segments=segments,
               params={"merge_gap_s": 60, "cov_min": "9/10"})
    )  # fmt: skip
    assert [found["units"]["u1"]["seconds"]["eff_h"] for found in (merged, apart)] == [7200, 6900]
    bad = a_pack(tmp_path / "c", start=DAY.at("00:00"), end=DAY.at("24:00"), units=[DAY.unit()], params={"gap": 1})
    assert "params.gap is not a parameter" in problems(bad)[0]


def test_a_unit_without_a_zone_is_in_that_of_the_run_else_of_the_scheme(tmp_path: Path) -> None:
    units = [DAY.unit(tz="", listed_from="2026-03-10", quota_hours="10")]
    for zone, seconds in (("Asia/Shanghai", 86400), ("Europe/Berlin", 17 * 3600), (None, 86400)):
        params = {"tz": zone} if zone else None
        found = evaluate_pack(
            a_pack(tmp_path / str(zone), start=DAY.at("00:00"), end=DAY.at("24:00"), units=units, params=params)
        )
        assert found["units"]["u1"]["window_seconds"] == seconds
    bad = a_pack(tmp_path / "bad", start=DAY.at("00:00"), end=DAY.at("24:00"), units=units, params={"tz": "Mars"})
    assert problems(bad) == ["run.json, column params.tz: 'Mars' is no IANA time zone; write one such as Asia/Shanghai"]


def test_a_scheme_that_does_not_ship_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UnknownScheme):
        evaluate_pack(DAY.pack(tmp_path), scheme="NOPE-1")


def test_manual_indicators_and_gates_come_from_organisation_csv(tmp_path: Path) -> None:
    rows = [{"org_id": "o1", "indicator": name, "value": value} for name, value in
            [("A1", "5"), ("A1.evidence", "file-7"), ("staff_fte", "0.15"), ("falsification", "1")]]  # fmt: skip
    scores = evaluate_pack(DAY.pack(tmp_path, organisation=rows))["scores"]["o1"]
    assert (scores["indicators"]["A1"], scores["indicators"]["A3"]) == ("5.00", "2.50")
    assert (scores["grade"], scores["gates"]) == ("不合格", ["falsification", "no_external_use", "low_coverage"])


def test_open_ends_reach_to_the_end_of_what_the_pack_speaks_of(tmp_path: Path) -> None:
    segment = DAY.segment("RUN", "20:00", "21:00") | {"end": ""}
    found = evaluate_pack(DAY.pack(tmp_path, segments=[segment]))
    assert found["units"]["u1"]["seconds"]["eff_h"] == 4 * 3600


def test_a_row_that_is_repeated_word_for_word_says_nothing_more(tmp_path: Path) -> None:
    tables: dict[str, list[dict[str, Any]]] = {
        "units": [DAY.unit(), DAY.unit(unit_id="u2")],
        "bookings": [DAY.booking("b1", "09:00", "11:00"), DAY.booking("b2", "10:00", "12:00")],
        "segments": [DAY.segment("RUN", "09:00", "12:00")],
        "downtime": [DAY.down("planned", "13:00", "14:00", "08:00")],
        "attestations": [DAY.signed("b2", "12:00", "12:30")],
        "requests": [{"request_id": "r1", "unit_id": "u1", "submitted_at": DAY.at("09:00"), "outcome": "unanswered"}],
        "organisation": [{"org_id": "o1", "indicator": "A1", "value": "5"}],
    }
    doubled = {name: (rows * 2)[::-1] for name, rows in tables.items()}
    assert evaluate_pack(DAY.pack(tmp_path / "b", **doubled)) == evaluate_pack(DAY.pack(tmp_path / "a", **tables))


@pytest.mark.parametrize(
    ("table", "rows"),
    [
        ("units", [DAY.unit(), DAY.unit(capacity=2)]),
        ("bookings", [DAY.booking("b1", "09:00", "10:00"), DAY.booking("b1", "09:00", "10:01")]),
        ("organisation", [{"org_id": "o1", "indicator": "A1", "value": "5"}, {"org_id": "o1", "indicator": "A1", "value": "6"}]),
    ],
)
def test_a_second_row_of_the_same_id_that_differs_is_refused(tmp_path: Path, table: str, rows: list[dict[str, Any]]) -> None:
    assert "stands twice and differs" in problems(DAY.pack(tmp_path, **{table: rows}))[0]


def test_bookings_confirmed_together_are_ranked_by_id_in_whatever_order_they_stand(tmp_path: Path) -> None:
    rows = [DAY.booking(key, "09:00", "10:00", decided_at=DAY.at("08:00")) for key in ("b2", "b1")]
    run = [DAY.segment("RUN", "09:00", "10:00")]
    for name, bookings in (("a", rows), ("b", rows[::-1])):
        found = evaluate_pack(DAY.pack(tmp_path / name, bookings=bookings, segments=run))["bookings"]
        assert {key: one["status"] for key, one in found.items()} == {"b1": "fulfilled", "b2": "conflict"}


def test_days_at_the_ends_of_the_calendar_mean_always_and_never(tmp_path: Path) -> None:
    unit = DAY.unit(listed_from="0001-01-01", decommissioned_on="9999-12-31")
    request = {"request_id": "r1", "unit_id": "u1", "submitted_at": DAY.at("09:00"), "outcome": "accepted",
               "answered_at": "9999-12-31T23:59:59-12:00"}  # fmt: skip
    found = evaluate_pack(DAY.pack(tmp_path / "a", units=[unit], requests=[request]))["units"]["u1"]
    assert (found["window_seconds"], found["sla_rate"]) == (86400, "0.0000")
    gone = DAY.unit(listed_from="9999-12-31", decommissioned_on="0001-01-01")
    assert evaluate_pack(DAY.pack(tmp_path / "b", units=[gone]))["units"]["u1"]["window_seconds"] == 0


def test_a_scheme_of_the_packs_own_that_is_no_text_is_refused(tmp_path: Path) -> None:
    directory = a_pack(tmp_path, start=DAY.at("00:00"), end=DAY.at("24:00"), units=[DAY.unit()])
    (directory / "run.json").write_text(
        (directory / "run.json").read_text().replace("WPC-OPEN-2026.1", "OWN-1"), encoding="utf-8"
    )
    (directory / "scheme.toml").write_bytes(b"\xff\xfe")
    assert problems(directory) == ["scheme.toml: is not UTF-8 (byte 0); save it as UTF-8"]
