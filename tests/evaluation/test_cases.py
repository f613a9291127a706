"""The worked cases, as packs of facts."""

import json
from pathlib import Path
from typing import Any

import pytest

from evaluation.packs import evaluate_pack
from tests.evaluation.packdirs import Day, a_pack

CASES = json.loads((Path(__file__).parents[1] / "data" / "evaluation_cases.json").read_text(encoding="utf-8"))
CODES = {"eff": "eff_h", "ext": "ext_h", "booked": "booked_h", "booked_idle": "idle_booked_h", "unbooked": "unbooked_h"}


def pack_of(case: dict[str, Any], directory: Path) -> Path:
    day = Day(case["date"], case["tz"])
    bookings = [
        day.booking(b["id"], b["start"], b["end"], b["category"], qty=b["qty"], decided_at=day.at("00:00"))
        for b in case["bookings"]
    ]
    return day.pack(
        directory,
        units=[day.unit(capacity=case["capacity"])],
        calendar=[day.open(*span) for span in case["open"]],
        segments=day.filled(case["telemetry"], case["silence"]),
        bookings=bookings,
        downtime=[day.down("planned", start, end, "00:00") for start, end in case["planned_downtime"]]
        + [day.down("unplanned", start, end) for start, end in case["unplanned_downtime"]],
    )


@pytest.mark.parametrize("case", CASES["scenarios"], ids=lambda case: case["id"])
def test_a_case_gives_the_expected_minutes(case: dict[str, Any], tmp_path: Path) -> None:
    found = evaluate_pack(pack_of(case, tmp_path))
    unit, ledger, expected = found["units"]["u1"], found["ledger"]["u1"], dict(case["expect_minutes"])
    expected.pop("run")
    assert {key: b["status"] for key, b in found["bookings"].items()} == expected.pop("status")
    for name, minutes in expected.items():
        if name == "unknown_open":
            assert ledger["unk"] == minutes * 60
        elif name.isupper():
            assert ledger[name.lower()] == minutes * 60
        else:
            assert unit["seconds"][CODES[name]] == minutes * 60, name
    assert sum(ledger.values()) == 86400


def evaluated(tmp_path: Path, day: Day | None = None, **tables: Any) -> tuple[dict[str, Any], dict[str, int], dict[str, Any]]:
    """The unit's minutes by code, its ledger in minutes, and the bookings."""
    found = evaluate_pack((day or Day()).pack(tmp_path, **tables))
    unit = found["units"]["u1"]
    minutes = {code: seconds / 60 for code, seconds in unit["seconds"].items() if seconds is not None}
    ledger = {state: seconds / 60 for state, seconds in found["ledger"]["u1"].items()}
    return {**unit, **minutes}, ledger, found["bookings"]


def test_idle_around_a_short_run_is_credited_up_to_half_an_hour_on_each_side(tmp_path: Path) -> None:
    day = Day()
    segments = day.filled([("IDLE", "08:00", "18:00"), ("RUN", "10:30", "11:00")])
    unit, _, bookings = evaluated(tmp_path, bookings=[day.booking("b1", "09:00", "13:00")], segments=segments)
    assert (unit["eff_h"], unit["idle_booked_h"], bookings["b1"]["status"]) == (90, 150, "fulfilled")
    assert bookings["b1"]["eff_seconds"] == 5400
    assert unit["idle_rate"] == "0.6250"


def test_new_years_eve_is_split_at_local_midnight(tmp_path: Path) -> None:
    day = Day("2026-12-31")
    booking = day.booking("b1", "22:00", "27:00")
    tables = {
        "units": [day.unit(quota_hours=1400)],
        "bookings": [booking],
        "segments": [day.segment("RUN", "22:00", "27:00")],
    }
    old = evaluate_pack(a_pack(tmp_path / "a", start="2026-01-01T00:00:00+08:00", end="2027-01-01T00:00:00+08:00", **tables))
    new = evaluate_pack(a_pack(tmp_path / "b", start="2027-01-01T00:00:00+08:00", end="2028-01-01T00:00:00+08:00", **tables))
    assert [(p["units"]["u1"]["eff_h"], p["units"]["u1"]["ext_h"]) for p in (old, new)] == [("2.00", "2.00"), ("3.00", "3.00")]
    assert [p["units"]["u1"]["ext_users"] for p in (old, new)] == [1, 0]
    assert sum(old["ledger"]["u1"].values()) == 365 * 86400


def test_order_and_repetition_of_segments_change_nothing(tmp_path: Path) -> None:
    day = Day()
    each = [day.segment("RUN", f"09:{m:02d}", f"09:{m + 1:02d}" if m < 59 else "10:00") for m in range(60)]
    each = [*each, day.segment("RUN", "10:00", "10:01")] * 2
    unit, _, _ = evaluated(tmp_path, segments=each[::-1])
    assert unit["unbooked_h"] == 61


@pytest.mark.parametrize(("pause", "eff"), [("09:30", 60), ("09:31", 49)])
def test_a_pause_of_idle_up_to_the_merge_gap_is_bridged(tmp_path: Path, pause: str, eff: int) -> None:
    day = Day()
    segments = day.filled([("RUN", "09:00", "09:20"), ("IDLE", "09:20", pause), ("RUN", pause, "10:00")])
    unit, ledger, _ = evaluated(tmp_path, segments=segments)
    assert (unit["eff_h"], ledger["prd_unbooked"]) == (eff, eff)


def test_a_pause_with_off_or_silence_in_it_is_not_bridged(tmp_path: Path) -> None:
    day = Day()
    for n, (state, silence) in enumerate([("OFF", []), ("IDLE", [("09:24", "09:25")])]):
        segments = day.filled([("RUN", "09:00", "10:00"), (state, "09:22", "09:28")], silence)
        unit, _, _ = evaluated(tmp_path / str(n), segments=segments)
        assert unit["eff_h"] == 54


@pytest.mark.parametrize(("end", "eff"), [("09:01:59", 0), ("09:02:00", 2)])
def test_runs_shorter_than_min_run_are_dropped(tmp_path: Path, end: str, eff: int) -> None:
    day = Day()
    unit, _, _ = evaluated(tmp_path, segments=[day.segment("RUN", "09:00", end), day.segment("IDLE", end, "17:00")])
    assert unit["eff_h"] == eff


def test_an_overrun_ends_at_the_next_booking_or_after_an_hour(tmp_path: Path) -> None:
    day = Day()
    segments = day.filled([("RUN", "10:00", "16:00")])
    bookings = [
        day.booking("b1", "10:00", "11:00"),
        day.booking("b2", "11:30", "12:00", "int"),
        day.booking("b3", "16:30", "17:00"),
    ]
    unit, ledger, found = evaluated(tmp_path, bookings=bookings, segments=segments)
    assert {key: b["eff_seconds"] / 60 for key, b in found.items()} == {"b1": 90, "b2": 90, "b3": 0}
    assert (unit["ext_h"], unit["int_h"], unit["unbooked_h"]) == (90, 90, 180)
    assert found["b3"]["status"] == "no_show"
    assert ledger["sby_booked"] == 30


def test_use_only_before_the_start_fulfils_but_earns_no_credit(tmp_path: Path) -> None:
    day = Day()
    segments = day.filled([("RUN", "09:40", "09:55"), ("IDLE", "09:55", "12:00")])
    unit, _, found = evaluated(tmp_path, bookings=[day.booking("b1", "10:00", "12:00")], segments=segments)
    assert (found["b1"]["status"], unit["ext_h"], unit["unbooked_h"], unit["idle_booked_h"]) == ("fulfilled", 10, 5, 120)


def test_test_runs_inside_maintenance_are_not_use(tmp_path: Path) -> None:
    day = Day()
    segments = day.filled([("RUN", "09:00", "12:00")])
    downtime = [day.down("planned", "10:00", "11:00", "09:59"), day.down("planned", "11:00", "11:30", "11:00")]
    unit, ledger, _ = evaluated(tmp_path, segments=segments, downtime=downtime)
    assert (unit["pd_h"], unit["ud_h"], unit["avail_h"], unit["eff_h"]) == (60, 30, 390, 90)
    assert (ledger["pd"], ledger["ud"]) == (60, 30)
    assert unit["availability"] == "0.8125"


def test_a_fault_is_unplanned_downtime_unless_it_lies_in_maintenance(tmp_path: Path) -> None:
    day = Day()
    segments = day.filled([("FAULT", "09:30", "10:30")])
    unit, ledger, _ = evaluated(tmp_path, segments=segments, downtime=[day.down("planned", "10:00", "11:00", "08:00")])
    assert (unit["pd_h"], unit["ud_h"], ledger["pd"], ledger["ud"]) == (60, 30, 60, 30)


@pytest.mark.parametrize(("end", "status"), [("11:00", "provider_failed"), ("10:59", "no_show")])
def test_half_of_a_booking_in_downtime_is_the_providers_failure(tmp_path: Path, end: str, status: str) -> None:
    day = Day()
    unit, ledger, found = evaluated(
        tmp_path,
        segments=day.filled([]),
        bookings=[day.booking("b1", "10:00", "12:00")],
        downtime=[day.down("unplanned", "10:00", end)],
    )
    assert found["b1"]["status"] == status
    assert (unit["idle_booked_h"] > 0) is (status == "no_show")
    assert unit["idle_booked_h"] + unit["idle_other_h"] == ledger["sby_booked"]


@pytest.mark.parametrize(("until", "status"), [("10:12", "no_show"), ("10:13", "unverifiable")])
def test_coverage_below_nine_tenths_accuses_nobody(tmp_path: Path, until: str, status: str) -> None:
    day = Day()
    segments = day.filled([], [("10:00", until)])
    _, _, found = evaluated(tmp_path, bookings=[day.booking("b1", "10:00", "12:00")], segments=segments)
    assert found["b1"]["status"] == status


def test_attested_time_counts_only_in_silence_and_only_signed_by_both(tmp_path: Path) -> None:
    day = Day()
    segments = day.filled([("RUN", "09:00", "10:40")], [("11:00", "15:00")])
    bookings = [day.booking("b1", "09:00", "10:40"), day.booking("b2", "11:00", "13:00"), day.booking("b3", "13:00", "15:00")]
    papers = [day.signed("b2", "10:30", "12:00"), day.signed("b3", "13:00", "14:00", user=0)]
    unit, ledger, found = evaluated(tmp_path, bookings=bookings, segments=segments, attestations=papers)
    assert (unit["eff_h"], unit["class_a_h"], unit["class_c_h"], unit["class_d_h"]) == (160, 100, 60, 60)
    assert unit["eff_graded_h"] == 110
    assert {key: b["status"] for key, b in found.items()} == {"b1": "fulfilled", "b2": "fulfilled", "b3": "unverifiable"}
    assert unit["coverage"] == "0.5000"
    assert unit["confirmed_share"] == "0.4545"
    assert ledger["unk"] == 180


def test_simultaneous_bookings_share_machine_time_by_quantity(tmp_path: Path) -> None:
    day = Day()
    bookings = [day.booking("b1", "09:00", "12:00", qty=2), day.booking("b2", "10:00", "13:00", "int")]
    unit, ledger, found = evaluated(
        tmp_path, units=[day.unit(capacity=4)], bookings=bookings, segments=day.filled([("RUN", "09:00", "13:00")])
    )
    assert (unit["eff_h"], unit["ext_h"], unit["int_h"], unit["eff_unit_h"]) == (240, 140, 100, 540)
    assert (unit["open_h"], unit["booked_h"], unit["util_capacity"]) == (1920, 540, "0.2813")
    assert {key: b["eff_seconds"] / 60 for key, b in found.items()} == {"b1": 180, "b2": 180}
    assert sum(ledger.values()) == 1440


def test_the_earliest_confirmed_booking_wins_contested_time(tmp_path: Path) -> None:
    day = Day()
    bookings = [
        day.booking("late", "10:00", "12:00", "int", decided_at=day.at("08:00")),
        day.booking("early", "11:00", "13:00", decided_at=day.at("07:00")),
        day.booking("inside", "11:30", "12:30", decided_at=day.at("07:30")),
    ]
    unit, _, found = evaluated(tmp_path, bookings=bookings, segments=day.filled([("RUN", "10:00", "13:00")]))
    assert (unit["ext_h"], unit["int_h"]) == (120, 60)
    assert {key: (b["status"], b["flags"]) for key, b in found.items()} == {
        "late": ("fulfilled", ["conflict"]),
        "early": ("fulfilled", []),
        "inside": ("conflict", ["conflict"]),
    }


def test_related_parties_the_owner_itself_and_excluded_purposes_are_internal(tmp_path: Path) -> None:
    day = Day()
    bookings = [
        day.booking("b1", "09:00", "10:00", related_party=1, sme=1),
        day.booking("b2", "10:00", "11:00", user_org="o1"),
        day.booking("b3", "11:00", "12:00", purpose="bulk_inspection"),
        day.booking("b4", "12:00", "13:00", purpose="trial", sme=1),
    ]
    unit, _, _ = evaluated(tmp_path, bookings=bookings, segments=day.filled([("RUN", "09:00", "13:00")]))
    assert (unit["ext_h"], unit["int_h"], unit["ext_smes"], unit["ext_orgs"], unit["share_ratio"]) == (60, 180, 1, 1, "0.2500")


def test_use_outside_opening_hours_is_use_but_no_capacity(tmp_path: Path) -> None:
    day = Day()
    unit, ledger, _ = evaluated(tmp_path, segments=day.filled([("RUN", "16:00", "20:00")]))
    assert (unit["eff_h"], unit["offhours_h"], unit["util_capacity"]) == (240, 180, "0.1250")
    assert (ledger["prd_unbooked"], ledger["sby_free"], ledger["nst"]) == (240, 420, 780)


@pytest.mark.parametrize("status", ["cancelled", ""])
def test_a_cancelled_booking_holds_nothing(tmp_path: Path, status: str) -> None:
    day = Day()
    times = {"decided_at": day.at("00:00"), "cancelled_at": day.at("08:00")}
    booking = day.booking("b1", "10:00", "12:00", status=status, **times)
    unit, ledger, found = evaluated(tmp_path, bookings=[booking], segments=day.filled([("RUN", "10:00", "12:00")]))
    assert (unit["unbooked_h"], unit["late_cancel_rate"], found["b1"]["status"]) == (120, "1.0000", "cancelled")
    assert (unit["booked_h"], ledger["sby_booked"]) == (0, 0)


def test_a_unit_listed_mid_period_counts_from_the_listing_day(tmp_path: Path) -> None:
    unit = {"unit_id": "u1", "owner_org": "o1", "tz": "Asia/Shanghai", "quota_hours": 1400, "listed_from": "2026-07-01"}
    found = evaluate_pack(a_pack(tmp_path, start="2026-01-01T00:00:00+08:00", end="2027-01-01T00:00:00+08:00", units=[unit]))
    assert (found["units"]["u1"]["quota_h"], found["organisations"]["o1"]["n_w"]) == ("705.75", "0.5041")
    assert sum(found["ledger"]["u1"].values()) == 184 * 86400


@pytest.mark.parametrize(("date", "hours", "open_min"), [("2026-03-29", 23, 60), ("2026-10-25", 25, 180)])
def test_a_day_with_a_clock_change_has_23_or_25_hours(tmp_path: Path, date: str, hours: int, open_min: int) -> None:
    day = Day(date, "Europe/Berlin")
    found = evaluate_pack(day.pack(tmp_path, calendar=[day.open("01:00", "03:00")]))
    assert sum(found["ledger"]["u1"].values()) == hours * 3600
    assert found["units"]["u1"]["seconds"]["open_h"] == open_min * 60


def test_what_is_not_applicable_is_null_and_no_use_shares_nothing(tmp_path: Path) -> None:
    day = Day()
    unit, _, _ = evaluated(tmp_path, calendar=[])
    assert [unit[code] for code in ("availability", "coverage", "util_quota", "idle_rate", "no_show_rate")] == [None] * 5
    assert (unit["share_ratio"], unit["flags"]) == ("0.0000", ["no_use"])
    assert day.at("09:00") == "2026-03-10T09:00:00+08:00"


def test_several_meters_are_one_device_by_priority(tmp_path: Path) -> None:
    day = Day()
    segments = [
        day.segment("IDLE", "09:00", "12:00"),
        day.segment("RUN", "10:00", "11:00", "m2"),
        day.segment("OFF", "09:00", "17:00", "m3"),
        day.segment("FAULT", "10:50", "11:00", "m3"),
        day.segment("UNKNOWN", "09:00", "17:00", "m4"),
    ]
    unit, ledger, _ = evaluated(tmp_path, segments=segments)
    assert (unit["eff_h"], unit["ud_h"], ledger["unk"], unit["coverage"]) == (50, 10, 0, "1.0000")


def test_every_hour_figure_is_repeated_in_seconds(tmp_path: Path) -> None:
    day = Day()
    request = {"request_id": "r1", "unit_id": "u1", "submitted_at": day.at("09:00"), "outcome": "accepted",
               "answered_at": day.at("10:30")}  # fmt: skip
    found = evaluate_pack(day.pack(tmp_path, requests=[request]))["units"]["u1"]
    assert set(found["seconds"]) == {code for code in found if code.endswith("_h")} - {"quota_h"}
    assert (found["response_h"], found["seconds"]["response_h"], found["seconds"]["turnaway_h"]) == ("1.50", 5400, None)
