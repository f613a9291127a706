"""The rules of devices.md at their edges, through the same door as `pilotbench replay`."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from devices.profile import Profile
from devices.replay import Replay, replay

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


@pytest.mark.parametrize(("before", "after", "flag"), [(19.111, 34.111, "gap_energy_confirmed"), (19.111, 34.11, "gap_unverified")])
def test_a_silence_is_confirmed_by_exactly_enough_energy(before: float, after: float, flag: str) -> None:
    lines = [said(0, p=350, e=before), said(60, p=350, e=before), said(960, p=350, e=after)]
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
