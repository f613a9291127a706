"""A written pack gives back its own figures, and verify finds whatever was changed."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import pytest

from evaluation.facts import (
    Attestation,
    Downtime,
    Facts,
    Outage,
    Outcome,
    Request,
    Reservation,
    Segment,
    Telemetry,
    Unit,
    UnitFacts,
    Use,
)
from evaluation.packs import PackRefused, Stamp, evaluate_pack, verify, write_facts_pack
from evaluation.packs.computing import compute
from evaluation.packs.writing import digest
from evaluation.schemes import DEFAULT, load_scheme

T0 = int(datetime(2026, 3, 10, 1, tzinfo=UTC).timestamp())
HOUR = 3600
STAMP = Stamp(datetime(2027, 1, 5, tzinfo=UTC), "0.1.0")


def some_facts() -> Facts:
    bookings = [
        Reservation(
            "b1",
            T0,
            T0 + 3 * HOUR,
            Use.EXT,
            user_org="firm",
            user_person="p1",
            sme=True,
            fee_minor=90000,
            decided_at=T0 - HOUR,
            submitted_at=T0 - 48 * HOUR,
            rating=Fraction("4.5"),
        ),
        Reservation("b2", T0 + 4 * HOUR, T0 + 5 * HOUR, Use.SELF, purpose='=cmd, "quoted"\nand lines', decided_at=T0),
    ]
    one = UnitFacts(
        unit=Unit("u1", "发酵线", "o1", "pilot_line", quota_hours=Fraction(1400 * 184, 365), value_minor=100),
        calendar=[(T0, T0 + 8 * HOUR)],
        downtime=[Outage(T0 + 6 * HOUR, T0 + 7 * HOUR, Downtime.PLANNED, T0)],
        bookings=bookings,
        segments=[Segment(T0, T0 + 2 * HOUR, Telemetry.RUN, "m1"), Segment(T0 + 2 * HOUR, T0 + 3 * HOUR, Telemetry.IDLE, "m1")],
        attestations=[Attestation(T0 + 4 * HOUR, T0 + 5 * HOUR, "b2", True, True)],
        requests=[Request("r1", "firm", T0, T0 + HOUR, Outcome.ACCEPTED)],
    )
    day = int(datetime(2026, 3, 9, 16, tzinfo=UTC).timestamp())
    return Facts((day, day + 86400), [one], {"o1": {"A1": Fraction(5)}})


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    write_facts_pack(tmp_path, facts=some_facts(), scheme=load_scheme(DEFAULT), stamp=STAMP, evidence={("o1", "A1"): "file-7"})
    return tmp_path


def test_a_pack_verifies_and_evaluates_to_what_it_says(pack: Path) -> None:
    assert verify(pack) == []
    found = evaluate_pack(pack)
    assert found["units"]["u1"]["seconds"]["eff_h"] == 2 * HOUR + 1800 + HOUR
    assert found["scores"]["o1"]["indicators"]["A1"] == "5.00"


@pytest.mark.parametrize("text", ["one\rtwo", "one\r\ntwo", '"', "\ufeffx", "\u2028", "é" * 1000])
def test_any_text_comes_back_as_it_was(tmp_path: Path, text: str) -> None:
    facts = some_facts()
    first, second = facts.units[0].bookings
    unit = replace(facts.units[0], bookings=[first, replace(second, purpose=text)])
    write_facts_pack(tmp_path, facts=replace(facts, units=[unit]), scheme=load_scheme(DEFAULT), stamp=STAMP)
    assert verify(tmp_path) == []
    assert compute(tmp_path)[2].units[0].bookings[1].purpose == text


def test_the_same_facts_give_the_same_bytes(pack: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    write_facts_pack(again, facts=some_facts(), scheme=load_scheme(DEFAULT), stamp=STAMP, evidence={("o1", "A1"): "file-7"})
    for path in again.iterdir():
        assert path.read_bytes() == (pack / path.name).read_bytes(), path.name


def test_a_datapackage_describes_every_file_with_size_and_hash(pack: Path) -> None:
    package = json.loads((pack / "datapackage.json").read_text(encoding="utf-8"))
    assert package["name"] == "pilotbench-wpc-open-2026.1"
    listed = {resource["path"] for resource in package["resources"]}
    assert listed == {path.name for path in pack.iterdir()} - {"datapackage.json"}
    segments = next(r for r in package["resources"] if r["path"] == "segments.csv")
    assert segments["schema"]["fields"][4] == {
        "name": "state",
        "type": "string",
        "constraints": {"required": True, "enum": ["RUN", "IDLE", "OFF", "FAULT", "UNKNOWN"]},
    }


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("metrics.csv", "unit,u1,eff_h,3.50", "unit,u1,eff_h,9.50", "metrics.csv: unit u1 eff_h says 9.50, the facts give 3.50"),
        ("scores.csv", "o1,A1,5.00", "o1,A1,6.00", "scores.csv: o1 A1 says 6.00, the facts give 5.00"),
        ("segments.csv", "T11:00:00+08:00", "T11:30:00+08:00", "segments.parquet: its rows differ from segments.csv"),
        ("scheme.toml", 'weight = "6"', 'weight = "9"', "scheme.toml: differs from the published WPC-OPEN-2026.1"),
        ("run.json", '"merge_gap_s": 600', '"merge_gap_s": 601', "run.json: differs from the size or hash in datapackage.json"),
    ],
)
def test_any_change_is_found(pack: Path, file: str, old: str, new: str, said: str) -> None:
    text = (pack / file).read_text(encoding="utf-8")
    assert old in text
    (pack / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    assert said in verify(pack)


def refreshed(pack: Path, name: str) -> None:
    """Make datapackage.json agree with a file that was changed."""
    path = pack / "datapackage.json"
    package = json.loads(path.read_text(encoding="utf-8"))
    resource = next(one for one in package["resources"] if one["path"] == name)
    resource |= {"bytes": (pack / name).stat().st_size, "hash": digest(pack / name)}
    path.write_text(json.dumps(package, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def test_a_changed_parameter_is_found_though_no_figure_depends_on_it(pack: Path) -> None:
    path = pack / "run.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"overrun_max_s": 3600', '"overrun_max_s": 3601'), encoding="utf-8")
    refreshed(pack, "run.json")
    assert verify(pack) == ["run.json: params.overrun_max_s is 3601, the scheme says 3600"]


def test_a_false_row_in_front_of_the_true_one_is_found(pack: Path) -> None:
    path = pack / "metrics.csv"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("unit,u1,eff_h,3.50", "unit,u1,eff_h,9.50\nunit,u1,eff_h,3.50"), encoding="utf-8")
    refreshed(pack, "metrics.csv")
    assert verify(pack) == ["metrics.csv: has rows that repeat or contradict others, or with more or fewer cells than the header"]


@pytest.mark.parametrize(("old", "new"), [("模型", "正式"), ('"title"', '"titel"'), ("  ", " "), ("datetime", "string")])
def test_any_change_of_the_description_itself_is_found(pack: Path, old: str, new: str) -> None:
    path = pack / "datapackage.json"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    assert verify(pack) == ["datapackage.json: differs from what describes these files"]


@pytest.mark.parametrize("name", ["units.csv", "metrics.csv", "scores.csv", "scheme.toml", "run.json", "segments.parquet"])
def test_a_file_that_cannot_be_read_is_a_difference(pack: Path, name: str) -> None:
    (pack / name).write_bytes((pack / name).read_bytes()[:40] + b"\xff\xfe\x00")
    assert f"{name}: differs from the size or hash in datapackage.json" in verify(pack)


def test_a_fact_table_that_is_gone_is_named_though_others_refer_to_it(pack: Path) -> None:
    (pack / "bookings.csv").unlink()
    assert verify(pack)[0] == "datapackage.json: 'bookings.csv' is no file of this pack"


@pytest.mark.parametrize("text", ["{", "[]", '{"resources": 5}', '{"resources": ["x"]}', '{"resources": [{"path": 7}]}'])
def test_a_description_that_is_no_description_is_found(pack: Path, text: str) -> None:
    (pack / "datapackage.json").write_text(text, encoding="utf-8")
    assert all(line.startswith("datapackage.json") for line in verify(pack))
    assert verify(pack)


def test_a_scheme_of_another_name_is_named(pack: Path) -> None:
    path = pack / "run.json"
    path.write_text(path.read_text(encoding="utf-8").replace("WPC-OPEN-2026.1", "WPC-OPEN-2099.1"), encoding="utf-8")
    assert "run.json: scheme WPC-OPEN-2099.1 is not one that ships here, and scheme.toml is another" in verify(pack)


@pytest.mark.parametrize("path", ["../units.csv", "/etc/hostname", "x" * 5000, "a\\u0000b", "link.csv", ""])
def test_paths_that_are_no_plain_file_of_the_pack_are_never_followed(pack: Path, path: str) -> None:
    (pack / "link.csv").symlink_to(pack / "units.csv")
    package = (pack / "datapackage.json").read_text(encoding="utf-8").replace('"path": "units.csv"', f'"path": "{path}"')
    (pack / "datapackage.json").write_text(package.replace("\\\\", "\\"), encoding="utf-8")
    assert any("is no file of this pack" in line for line in verify(pack))


def test_a_resource_outside_the_pack_is_never_read(pack: Path) -> None:
    package = (pack / "datapackage.json").read_text(encoding="utf-8").replace('"path": "units.csv"', '"path": "../units.csv"')
    (pack / "datapackage.json").write_text(package, encoding="utf-8")
    assert "datapackage.json: '../units.csv' is no file of this pack" in verify(pack)


def test_a_folder_without_datapackage_cannot_be_verified(tmp_path: Path) -> None:
    with pytest.raises(PackRefused):
        verify(tmp_path)
