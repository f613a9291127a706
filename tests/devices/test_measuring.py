"""Thresholds by measuring: a half with the machine idle, a half with it at work, what follows; how often a meter speaks."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from devices.health.rhythm import Clock, clock_of, interval_s
from devices.measuring import actions, queries
from devices.measuring.proposing import LONGEST, SPAN, Proposal, Unfit, half, propose, span_of, stale_for
from devices.profile import Profile
from devices.queries import profile_of
from devices.registry.actions import register_device
from marketplace.refusals import Invalid, WrongState
from tests.builders import a_resource

BEGIN = datetime(2026, 3, 10, 1, tzinfo=UTC)
PRESENT = Profile()


def after(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def every(seconds: float, count: int, watts: float = 40.0) -> list[tuple[datetime, float]]:
    """Powers at an even pace, the first one pace after the begin."""
    return [(after(seconds * number), watts) for number in range(1, count + 1)]


@pytest.mark.parametrize(
    ("idle", "run", "expected"),
    [
        ([38, 41, 40], [2300, 2450, 2400], Proposal(314.0, 113.0, 180.0, 900.0)),
        ([0, 0, 0], [60, 61, 60], Proposal(7.75, 2.78, 180.0, 900.0)),
        ([40] * 9 + [900], [2400] * 9, Proposal(310.0, 111.0, 180.0, 900.0)),  # one start of a pump in ten
        ([40] * 6, [2400, 2400, 45, 2400, 2400, 45], Proposal(310.0, 111.0, 180.0, 900.0)),  # a heater that pauses
        ([500, 510, 505], [700, 720, 690], Proposal(597.0, 552.0, 180.0, 900.0)),
    ],
)
def test_thresholds_lie_between_idling_and_work(idle: list[float], run: list[float], expected: Proposal) -> None:
    assert propose(idle, run, 10.0, PRESENT) == expected


@pytest.mark.parametrize(
    ("idle", "run", "why"),
    [
        ([40, 41], [2400, 2400, 2400], Unfit.TOO_FEW),
        ([40, 41, 40], [2400], Unfit.TOO_FEW),
        ([2400, 2380, 2410], [40, 42, 41], Unfit.NOT_ABOVE),  # the halves were mixed up
        ([40, 40, 40], [40, 40, 40], Unfit.NOT_ABOVE),
        ([400, 402, 401], [450, 455, 452], Unfit.TOO_CLOSE),
        ([0.4, 0.5, 0.4], [2, 2, 2], Unfit.TOO_CLOSE),  # within what a plug measures of nothing
    ],
)
def test_what_tells_nothing_apart_is_refused_with_why(idle: list[float], run: list[float], why: Unfit) -> None:
    assert propose(idle, run, 10.0, PRESENT) is why


WATTS = st.floats(-5, 50_000, allow_nan=False)


@given(st.lists(WATTS, min_size=3, max_size=9), st.lists(WATTS, min_size=3, max_size=9), st.floats(0.5, 2400))
def test_whatever_is_proposed_is_accepted_and_stands_off_both(idle: list[float], run: list[float], interval: float) -> None:
    found = propose(idle, run, interval, PRESENT)
    if isinstance(found, Proposal):
        assert max(idle) < found.p_off < found.p_on < sorted(run)[(len(run) + 1) // 2 - 1]
        assert found.stale_after >= 2.5 * interval
        assert found.max_gap >= 2 * found.stale_after


def test_a_slow_reporter_gets_a_longer_silence_and_one_that_was_set_longer_keeps_it() -> None:
    slow = propose([40] * 3, [2400] * 3, 300.0, PRESENT)
    assert isinstance(slow, Proposal)
    assert (slow.stale_after, slow.max_gap) == (750.0, 1500.0)
    kept = propose([40] * 3, [2400] * 3, 10.0, Profile(max_gap=3600.0))
    assert isinstance(kept, Proposal)
    assert kept.max_gap == 3600.0


def test_a_half_takes_a_minute_and_three_powers() -> None:
    quick = every(10, 12)
    assert not half(quick[:5], began=BEGIN, now=after(59), interval_s=10.0).complete
    done = half(quick, began=BEGIN, now=after(120), interval_s=10.0)
    assert done.complete
    assert len(done.watts) == 6  # what came after the minute is no part of it
    slow = half(every(60, 2), began=BEGIN, now=after(130), interval_s=60.0)
    assert (slow.complete, slow.left_s(after(130))) == (False, 50)
    assert half(every(60, 3), began=BEGIN, now=after(181), interval_s=60.0).complete


def test_how_long_a_half_takes_is_known_before_it_begins() -> None:
    assert half([], began=BEGIN, now=BEGIN, interval_s=300.0).left_s(BEGIN) == span_of(300.0).seconds == 900
    assert half([], began=BEGIN, now=BEGIN, interval_s=None).left_s(BEGIN) == SPAN.seconds
    assert half([], began=BEGIN, now=after(100), interval_s=None).left_s(after(100)) == 0


def test_what_was_heard_before_is_no_part_of_it_and_two_hours_are_too_long() -> None:
    before = [(after(-10), 2400.0), (after(-1), 2400.0)]
    assert half(before, began=BEGIN, now=after(70), interval_s=10.0).watts == []
    assert half([], began=BEGIN, now=BEGIN + LONGEST + SPAN, interval_s=None).too_slow


def test_the_interval_is_the_usual_one() -> None:
    steady = [after(10 * number) for number in range(20)]
    assert interval_s(steady) == 10.0
    assert interval_s([*steady, after(4000)]) == 10.0  # one silence is not the rule
    assert interval_s([after(number // 3 * 30 + number % 3 * 0.01) for number in range(30)]) == pytest.approx(29.98)
    assert interval_s([BEGIN]) is None
    assert stale_for(10.0) == 30.0


def test_a_steady_offset_of_whole_quarters_is_a_zone_and_anything_else_is_none() -> None:
    def told(*behind: float) -> Clock | None:
        return clock_of([(after(60 * n), after(60 * n - s)) for n, s in enumerate(behind)])

    assert told(1, 2) is None
    near, zone, drifting, ahead = told(1, 2, 1), told(28801, 28803, 28802), told(28800, 20000, 28800), told(-3601, -3600, -3599)
    assert near is not None
    assert (near.behind_s, near.zone_s) == (1.0, None)
    assert zone is not None
    assert zone.zone_s == 28800
    assert drifting is not None
    assert drifting.zone_s is None
    assert ahead is not None
    assert ahead.zone_s == -3600


def test_a_measurement_is_begun_anew_and_ends_with_thresholds_in_force(db: Session) -> None:
    device, _ = register_device(db, resource_id=a_resource(db).id, name="plug", profile={}, actor_id=None, now=BEGIN)
    with pytest.raises(WrongState):
        actions.begin_run(db, device_id=device.id, now=BEGIN)
    actions.begin_idle(db, device_id=device.id, now=BEGIN)
    actions.begin_run(db, device_id=device.id, now=after(70))
    values = {"p_on": 314.0, "p_off": 113.0, "stale_after": 180.0, "max_gap": 900.0}
    with pytest.raises(Invalid):
        actions.save(db, device_id=device.id, profile={**values, "p_off": 400.0}, actor_id="per_1", now=after(140))
    actions.save(db, device_id=device.id, profile=values, actor_id="per_1", now=after(140))
    assert profile_of(db, device.id, at=after(141)).p_on == 314.0
    found = queries.find_measurement(db, device.id)
    assert found is not None
    assert (found.idle_at, found.run_at, found.saved_at) == (BEGIN, after(70), after(140))
    with pytest.raises(WrongState):
        actions.begin_run(db, device_id=device.id, now=after(200))
    actions.begin_idle(db, device_id=device.id, now=after(300))
    assert (found.run_at, found.saved_at) == (None, None)
