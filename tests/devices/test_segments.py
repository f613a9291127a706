"""Every second in one state, by the order of devices.md."""

from datetime import UTC, datetime, timedelta

import pytest

from devices.placing import Sample
from devices.profile import Profile
from devices.segments import State, segments
from devices.sessions import fold

T0 = datetime(2026, 3, 10, tzinfo=UTC)
BEAT: tuple[float | None, str | None] = (None, None)


def states(*told: tuple[float | None, str | None], every: float = 60, silent: float = 0) -> list[tuple[State, float, float]]:
    """(state, start, end) in seconds, of samples (power, state) that come every `every` seconds."""
    samples = [Sample(T0 + timedelta(seconds=number * every), power, None, state) for number, (power, state) in enumerate(told)]
    now = samples[-1].at + timedelta(seconds=silent)
    runs, _ = fold(samples, Profile(), now=now)
    found = segments(samples, runs, Profile(), now=now)
    return [(one.state, (one.slot.start - T0).total_seconds(), (one.slot.end - T0).total_seconds()) for one in found]


@pytest.mark.parametrize(
    ("told", "state"),
    [
        ((None, "IDLE"), State.IDLE),
        ((None, "OFF"), State.OFF),
        ((None, "DOWN"), State.FAULT),
        ((5.0, None), State.IDLE),
        ((4.9, None), State.OFF),
        ((None, "STANDBY"), State.IDLE),
        ((None, "HELD"), State.OFF),
        ((5.0, "HELD"), State.IDLE),
        ((4.9, "HELD"), State.OFF),
        ((5.0, "OFF"), State.IDLE),
        ((None, "UNAVAILABLE"), State.OFF),
        ((5.0, "UNAVAILABLE"), State.IDLE),
        ((4.9, "UNAVAILABLE"), State.OFF),
    ],
)
def test_heartbeats_go_on_with_what_was_told(told: tuple[float | None, str | None], state: State) -> None:
    assert states(told, BEAT, BEAT) == [(state, 0, 120)]


def test_a_device_that_told_nothing_yet_is_unknown() -> None:
    assert states(BEAT, BEAT, (2.0, None), BEAT) == [(State.UNKNOWN, 0, 120), (State.OFF, 120, 180)]


def test_a_hold_inside_a_session_is_run() -> None:
    told = [(None, "RUN"), (None, "RUN"), (None, "HELD"), BEAT, (None, "RUN")]
    assert states(*told) == [(State.RUN, 0, 240)]


def test_silence_is_unknown_from_the_last_message_even_after_a_fault() -> None:
    assert states((None, "DOWN"), (None, "DOWN"), silent=180) == [(State.FAULT, 0, 60)]
    assert states((None, "DOWN"), (None, "DOWN"), silent=181) == [(State.FAULT, 0, 60), (State.UNKNOWN, 60, 241)]


def test_unverified_session_time_is_unknown() -> None:
    told = [(350.0, None), (350.0, None)]
    assert states(*told, every=600) == [(State.UNKNOWN, 0, 600)]
