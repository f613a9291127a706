"""The rules of devices.md at their edges, through the same door as `pilotbench replay`."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from devices.profile import Profile, read_profile
from devices.replay import BadRecording, Replay, replay
from devices.sessions import Grade, SessionState
from marketplace.refusals import Invalid

T0 = datetime(2026, 3, 10, tzinfo=UTC)


def said(at: float, received: float | None = None, *, marks: tuple[str, ...] = (), **body: Any) -> bytes:
    """A native message with the device's time `at`, in seconds from T0, received a second later."""
    return heard(at + 1 if received is None else received, marks=marks, ts=round((T0.timestamp() + at) * 1000), **body)


def heard(received: float, *, marks: tuple[str, ...] = (), **body: Any) -> bytes:
    """A native message that names no time of its own."""
    instant = (T0 + timedelta(seconds=received)).isoformat()
    line = {"received_at": instant, "topic": "d/k1/t", "payload": orjson.dumps(body).decode()}
    return orjson.dumps({**line, **dict.fromkeys(marks, True)})


def spans(found: Replay) -> list[tuple[float, float | None, str | None]]:
    return [
        ((run.start - T0).total_seconds(), run.end and (run.end - T0).total_seconds(), run.end_reason) for run in found.sessions
    ]


@pytest.mark.parametrize(("after", "flag"), [(34.111, "gap_energy_confirmed"), (34.11, "gap_unverified")])
def test_a_silence_is_confirmed_by_exactly_enough_energy(after: float, flag: str) -> None:
    lines = [said(0, p=350, e=19.111), said(60, p=350, e=19.111), said(960, p=350, e=after)]
    (run,) = replay(lines, Profile()).sessions
    assert run.flags == (flag,)


@pytest.mark.parametrize(("after", "flags"), [(32.2, ()), (32.202, ("energy_jump",))])
def test_a_counter_may_rise_by_exactly_one_and_a_half_times_the_rating(after: float, flags: tuple[str, ...]) -> None:
    lines = [said(0, p=350, e=7.2), said(60, p=350, e=after)]
    (run,) = replay(lines, Profile(rated_w=1000)).sessions
    assert run.flags == flags


def test_what_was_counted_at_the_first_instant_belongs_to_the_session() -> None:
    lines = [heard(0, e=10), heard(0, p=350), heard(60, e=16, p=350)]
    (run,) = replay(lines, Profile()).sessions
    assert run.energy_wh == 6


def test_a_clock_that_was_never_set_is_skew_and_not_a_lost_message() -> None:
    lines = [heard(at, ts=at * 1000, p=350) for at in range(0, 121, 60)]
    found = replay(lines, Profile())
    assert (spans(found), found.notes, found.rejected) == ([(0, None, None)], ["clock_skew"], [])


def test_a_clock_far_ahead_is_placed_at_receipt() -> None:
    lines = [said(at + 1e10, at, p=350) for at in range(0, 121, 60)]
    found = replay(lines, Profile())
    assert (spans(found), found.notes, found.rejected) == ([(0, None, None)], ["clock_future"], [])


@pytest.mark.parametrize(("topic", "payload"), [("d/k1/s", '{"online":false}'), ("d/k1/t", "{"), ("elsewhere", "{}")])
def test_it_is_as_late_as_the_last_message_whatever_that_said(topic: str, payload: str) -> None:
    lines = [said(0, p=350), said(60, p=350)]
    received = (T0 + timedelta(seconds=300)).isoformat()
    (run,) = replay([*lines, orjson.dumps({"received_at": received, "topic": topic, "payload": payload})], Profile()).sessions
    assert (run.state, run.confirmed_s) == (SessionState.UNKNOWN, 60)


def test_instants_are_told_in_utc_wherever_the_recording_was_made() -> None:
    lines = [
        b'{"received_at":"2026-03-10T08:0%d:00+08:00","topic":"d/k1/t","payload":"{\\"p\\":350}"}' % minute for minute in (0, 1)
    ]
    (run,) = replay(lines, Profile()).as_json()["sessions"]
    assert run["start"] == "2026-03-10T00:00:00Z"


GOOD = {"received_at": "2026-03-10T00:00:00Z", "topic": "d/k1/t", "payload": "{}"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"received_at": "0001-01-01T00:00:00+10:00"}, "outside the calendar"),
        ({"received_at": "2026-03-10T00:00:00"}, "no offset"),
        ({"received_at": None}, "not a time"),
        ({"payload_b64": "é"}, "not base64"),
        ({"payload_b64": "e30"}, "not base64"),
        ({"payload": {"p": 350}}, "neither payload nor payload_b64"),
    ],
)
def test_a_line_that_no_recording_holds_is_named(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadRecording) as caught:
        replay([orjson.dumps(GOOD), orjson.dumps({**GOOD, **changes})], Profile())
    assert caught.value.values["line"] == 2
    assert reason in caught.value.values["reason"]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"family": ["native"]}, "profile.family"),
        ({"family": {"match": "x"}}, "profile.family.message"),
        ({"zone": ["UTC"]}, "profile.zone"),
        ({"p_on": 60, "p_off": 60}, "profile.p_off"),
        ({"p_on": float("nan")}, "profile.p_on"),
        ({"min_on": "60"}, "profile.min_on"),
        ({"p_onn": 60}, "profile.p_onn"),
    ],
)
def test_a_profile_that_cannot_be_read_is_refused_at_its_field(values: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        read_profile(values)
    assert caught.value.values["field"] == field


@pytest.mark.parametrize(
    ("between", "grade"),
    [
        ([said(60, p=350, e=106)], Grade.A),
        ([said(60)], Grade.A),
        ([said(60, p=350)], Grade.B),
        ([said(60, p=350, e=2)], Grade.B),
    ],
)
def test_the_counter_agrees_where_every_measurement_has_it_and_it_was_not_reset(between: list[bytes], grade: Grade) -> None:
    (run,) = replay([said(0, p=350, e=100), *between, said(120, p=350, e=112)], Profile()).sessions
    assert run.grade is grade


def run_of(*told: tuple[int, dict[str, float]]) -> Grade:
    (run,) = replay([said(at, **body) for at, body in told], Profile()).sessions
    return run.grade


@pytest.mark.parametrize(
    ("counts", "grade"),
    [(1.0, Grade.A), (0.76, Grade.A), (0.74, Grade.B), (1.32, Grade.A), (1.36, Grade.B), (0.5, Grade.B), (2.0, Grade.B)],
)
def test_the_counter_agrees_with_the_power_within_a_quarter_of_the_larger(counts: float, grade: Grade) -> None:
    """360 W a minute are 6 Wh."""
    assert run_of(*((minute * 60, {"p": 360, "e": 100 + minute * 6 * counts}) for minute in range(61))) is grade


def test_a_coarse_counter_agrees_within_two_of_its_steps() -> None:
    """A machine of 200 W for twelve minutes draws 40 Wh; a counter of 10 Wh may show 20."""
    assert run_of(*((at * 60, {"p": 200, "e": 0 if at < 5 else 10 if at < 8 else 20}) for at in range(13))) is Grade.A
    assert run_of(*((at * 60, {"p": 400, "e": 0 if at < 5 else 10 if at < 8 else 20}) for at in range(13))) is Grade.B


def test_a_state_with_a_counter_and_no_power_has_nothing_to_be_compared_with() -> None:
    (run,) = replay([said(at, st="RUN", e=at) for at in range(0, 301, 60)], Profile()).sessions
    assert run.grade is Grade.A


def test_a_silence_that_the_counter_bridges_is_left_out_of_what_is_compared() -> None:
    """The counter rose by 6 Wh a minute, twice as fast in the silence, of which no power is known."""
    told = [(at * 60, {"p": 360, "e": at * 6}) for at in range(20)]
    after = [(at * 60, {"p": 360, "e": 20 * 6 + 120 + (at - 30) * 6}) for at in range(30, 50)]
    assert run_of(*told, *after) is Grade.A


def test_a_counter_that_disagrees_alters_the_grade_and_nothing_else() -> None:
    ran, other = (
        replay([said(at * 60, p=360 if at < 60 else 3, e=at * rise) for at in range(70)], Profile()).sessions[0]
        for rise in (6.0, 2.0)
    )
    assert (ran.grade, other.grade) == (Grade.A, Grade.B)
    assert replace(other, grade=ran.grade, energy_wh=ran.energy_wh) == ran


def test_power_without_a_counter_is_graded_lowest_but_for_unverified_time() -> None:
    for at, grade in ((120, Grade.C), (600, Grade.D)):
        (run,) = replay([said(0, p=350), said(60, p=350), said(at, p=350)], Profile()).sessions
        assert run.grade is grade
