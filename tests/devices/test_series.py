"""A device with several series, such as the channels of a plug, is one machine; one with one series is folded as ever."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from devices import actions
from devices.folding import runs_of, samples_of
from devices.health.watching import words_within
from devices.intake import actions as intake
from devices.live.queries import Live, live_states
from devices.placing import VALUE_KEPT, Sample, as_one
from devices.profile import Profile, read_profile
from devices.readings import Envelope
from devices.registry.actions import register_device
from devices.replay import replay
from devices.sessions import Grade, fold
from devices.sessions import Session as Run
from devices.tables import Device, UsageSession
from marketplace.refusals import Invalid
from marketplace.slot import Slot
from tests.builders import a_resource

BEGIN = datetime(2026, 3, 10, 1, tzinfo=UTC)
SHELLY = Profile(family="shelly2")


def at(count: float) -> datetime:
    return BEGIN + timedelta(minutes=count)


def said(minutes: float, channel: int, power: float | None, energy: float | None = None, key: str = "k") -> Envelope:
    """Of one channel; without a power it tells its counter alone, or that it is there."""
    body = {"id": channel, "output": True}
    told = {"apower": power, "aenergy": None if energy is None else {"total": energy}}
    found = {**body, **{name: value for name, value in told.items() if value is not None}}
    return Envelope(f"d/{key}/status/switch:{channel}", orjson.dumps(found), at(minutes))


def plug(first: Sequence[float], second: Sequence[float], *, key: str = "k") -> list[Envelope]:
    """A message of each channel a minute, half a minute apart; counters far apart move with the power."""
    found = []
    counted = [1_000_000.0, 5.0]
    for minute, powers in enumerate(zip(first, second, strict=True)):
        for channel, power in enumerate(powers):
            found.append(said(minute + channel / 2, channel, power, round(counted[channel], 3), key))
            counted[channel] += power / 60
    return found


def test_who_measures_sees_what_the_fold_reads(db: Session) -> None:
    device, _ = register_device(
        db, resource_id=a_resource(db).id, name="plug", profile={"family": "shelly2"}, actor_id=None, now=at(-1)
    )
    intake.store(db, plug([40.0] * 6 + [150.0] * 6, [40.0] * 6 + [150.0] * 6, key=device.key))
    idle = words_within(db, device, SHELLY, Slot(at(1), at(5)))
    assert {one.power_w for one in idle} == {80.0}
    assert {one.power_w for one in words_within(db, device, SHELLY, Slot(at(7), at(11)))} == {300.0}
    assert {one.power_w for one in words_within(db, device, replace(SHELLY, series=("1",)), Slot(at(1), at(5)))} == {40.0}
    assert len(idle) == 8


def told(run: Run) -> tuple[Any, ...]:
    return (run.start, run.end, run.confirmed_s, round(run.energy_wh, 2), run.grade, run.flags)


def test_a_channel_that_rests_does_not_interrupt_the_one_that_runs() -> None:
    stream = plug([8.0] * 5 + [400.0] * 60 + [8.0] * 10, [2.0] * 75)
    (run,) = runs_of(stream, SHELLY, until=at(80))
    assert told(run) == (at(5), at(65), 3600, round(60 * 400 / 60 + 59 * 2 / 60, 2), Grade.A, ())


def test_two_channels_that_are_small_alone_run_together() -> None:
    stream = plug([70.0] * 30 + [8.0] * 10, [70.0] * 30 + [8.0] * 10)
    (run,) = runs_of(stream, SHELLY, until=at(50))
    assert (run.start, run.end) == (at(0.5), at(30.5))


def test_a_reset_of_one_counter_is_its_own() -> None:
    stream = [
        *(said(minute, 0, 400.0, 1000.0 + minute * 6) for minute in range(31)),
        *(said(minute + 0.5, 1, 400.0, 900.0 + minute * 6 if minute < 15 else (minute - 15) * 6.0) for minute in range(30)),
    ]
    (run,) = runs_of(stream, SHELLY, until=at(30))
    assert (run.energy_wh, run.flags, run.grade) == (30 * 6 + 14 * 6 + 14 * 6, ("energy_reset",), Grade.B)


def test_a_jump_is_judged_by_what_the_series_itself_counted_before() -> None:
    rated = Profile(family="shelly2", rated_w=500.0)
    stream = [said(minute, 0, 400.0, minute * 6.5) for minute in range(31)]
    stream += [said(minute + 0.5, 1, 1.0, 70_000.0 + (5000 if minute > 10 else 0)) for minute in range(30)]
    (run,) = runs_of(stream, rated, until=at(30))
    assert (run.energy_wh, run.flags) == (30 * 6.5, ("energy_jump",))


def test_what_one_channel_told_counts_as_long_as_it_is_heard() -> None:
    def powers(stream: list[Envelope]) -> list[tuple[datetime, float | None]]:
        return [(one.at, one.power_w) for one in samples_of(stream, SHELLY, until=at(200))[1]]

    silent = powers([said(0, 1, 300.0), *(said(minute, 0, 50.0) for minute in range(1, 6))])
    assert silent == [(at(0), 300.0), (at(1), 350.0), (at(2), 350.0), (at(3), 350.0), (at(4), 50.0), (at(5), 50.0)]
    beating = [said(0, 1, 300.0), *(said(minute, 0, 50.0) for minute in range(1, 80))]
    beating += [said(minute + 0.5, 1, None, 7.0) for minute in range(80)]
    found = dict(powers(beating))
    assert (found[at(60)], found[at(61)], found[at(30.5)]) == (350.0, 50.0, None)
    assert at(60) - at(0) == VALUE_KEPT


def test_the_state_of_several_is_a_fault_of_any_else_the_run_of_any() -> None:
    def state(*states: str | None) -> str | None:
        message = [(str(number), Sample(BEGIN, None, None, one)) for number, one in enumerate(states)]
        (found,) = as_one([message], Profile())
        return found.state

    assert [state("RUN", "DOWN"), state("IDLE", "RUN"), state("OFF", "IDLE"), state("HELD", "OFF")] == [
        "DOWN",
        "RUN",
        "IDLE",
        "HELD",
    ]
    assert (state("odd", "OFF"), state("odd", None), state(None, None)) == ("OFF", "odd", None)


def test_one_message_of_several_series_is_one_moment() -> None:
    """After a silence the first channel alone would end the run."""
    family = {"message": [{"topic": "{rest+}", "each": "c.*", "power": "p", "energy": "e"}]}
    profile = read_profile({"family": family})

    def both(minute: float, low: float, high: float) -> Envelope:
        body = {"c": {"a": {"p": low, "e": minute}, "b": {"p": high, "e": minute * 10}}}
        return Envelope("d/k/x", orjson.dumps(body), at(minute))

    stream = [*(both(minute, 5, 500) for minute in range(10)), *(both(minute, 5, 500) for minute in range(15, 20))]
    (run,) = runs_of(stream, profile, until=at(19))
    assert (run.start, run.until, run.unverified_s, run.flags) == (at(0), at(19), 0, ("gap_energy_confirmed",))
    assert run.energy_wh == 19 * 11


def test_a_profile_names_the_series_that_count() -> None:
    stream = plug([400.0] * 30 + [8.0] * 10, [900.0] * 40)
    assert [one.end for one in runs_of(stream, SHELLY, until=at(40))] == [None]
    first = read_profile({"family": "shelly2", "series": ["0"]})
    (run,) = runs_of(stream, first, until=at(40))
    assert (run.start, run.end, run.energy_wh) == (at(0), at(30), 200)
    assert read_profile({"series": ["b", "a", "b"]}).series == ("a", "b")
    for wrong in ("0", [0], ["x" * 201], [str(number) for number in range(101)]):
        with pytest.raises(Invalid) as caught:
            read_profile({"series": wrong})
        assert caught.value.values["field"] == "profile.series"


LEVELS = st.one_of(st.none(), st.sampled_from([0.0, 8.0, 55.0, 80.0, 120.0, 350.0]))
STATES = st.sampled_from([None, None, None, "RUN", "IDLE", "DOWN", "HELD", "odd"])
ENERGIES = st.one_of(st.none(), st.integers(0, 2000).map(float))
GAPS = st.sampled_from([0.0, 10.0, 30.0, 60.0, 100.0, 400.0, 1000.0])


@given(told=st.lists(st.tuples(GAPS, LEVELS, ENERGIES, STATES), min_size=1, max_size=40), silence=GAPS)
def test_of_one_series_the_machine_is_that_series(
    told: list[tuple[float, float | None, float | None, str | None]], silence: float
) -> None:
    instant, samples = BEGIN, []
    for gap, power, energy, state in told:
        instant += timedelta(seconds=gap)
        samples.append(Sample(instant, power, energy, state))
    profile = Profile(rated_w=3000.0)
    merged = as_one([[("0", one)] for one in samples], profile)
    now = instant + timedelta(seconds=silence)
    assert fold(merged, profile, now=now) == fold(samples, profile, now=now)


MESSAGES = st.lists(
    st.tuples(st.sampled_from([0.2, 0.5, 1.0, 2.0, 3.5, 20.0, 90.0]), st.integers(0, 2), LEVELS, ENERGIES),
    min_size=1,
    max_size=50,
)


@given(messages=MESSAGES, order=st.randoms())
def test_neither_order_nor_repetition_matters(messages: list[tuple[float, int, float | None, float | None]], order: Any) -> None:
    stream, minute = list[Envelope](), 0.0
    for gap, channel, power, energy in messages:
        minute += gap
        stream.append(said(minute, channel, power, energy))
    mixed = [*stream, *stream[::3]]
    order.shuffle(mixed)
    assert runs_of(mixed, SHELLY, until=at(minute)) == runs_of(stream, SHELLY, until=at(minute))


def a_plug(db: Session) -> Device:
    profile = {"family": "shelly2"}
    return register_device(db, resource_id=a_resource(db).id, name="plug", profile=profile, actor_id=None, now=at(-1))[0]


def stored(db: Session, row: Device) -> list[tuple[object, ...]]:
    mine = select(UsageSession).where(UsageSession.device_id == row.id).order_by(UsageSession.starts_at)
    return [(run.starts_at, run.ends_at, run.until, run.confirmed_s, run.energy_wh, run.grade) for run in db.scalars(mine)]


def whole(runs: Sequence[Run]) -> list[tuple[object, ...]]:
    return [(run.start, run.end, run.until, int(run.confirmed_s), round(run.energy_wh), run.grade) for run in runs]


@pytest.mark.laws
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages=MESSAGES, size=st.integers(1, 6))
@example(messages=[(0.2, 1, 350.0, None), *[(0.2, 1, None, 1.0), (2.0, 0, 8.0, None)] * 20, *[(90.0, 0, 8.0, None)] * 4], size=1)
def test_folded_part_by_part_it_is_what_the_whole_and_a_replay_come_to(
    db: Session, messages: list[tuple[float, int, float | None, float | None]], size: int
) -> None:
    row, minute, stream = a_plug(db), 0.0, list[Envelope]()
    for gap, channel, power, energy in messages:
        minute += gap
        stream.append(said(minute, channel, power, energy, row.key))
    for first in range(0, len(stream), size):
        part = stream[first : first + size]
        intake.store(db, part)
        actions.fold_devices(db, now=part[-1].received_at)
    assert stored(db, row) == whole(runs_of(stream, SHELLY, until=at(minute)))
    lines = [{"received_at": one.received_at.isoformat(), "topic": one.topic, "payload": one.payload.decode()} for one in stream]
    assert whole(replay([orjson.dumps(line) for line in lines], SHELLY).sessions) == stored(db, row)


def zigbee(key: str) -> list[Envelope]:
    """A pump that runs for half an hour and a lamp, behind one bridge; the lamp's mains are switched off at the end."""
    found = []
    for minute in range(60):
        pump = {
            "state": "ON",
            "power": 350 if 10 <= minute < 40 else 8,
            "energy": round(5 + max(0, min(minute, 40) - 10) * 0.006, 3),
        }
        lamp = {"state": "ON", "power": 40, "energy": round(7 + minute / 1000, 3)}
        found += [Envelope(f"d/{key}/lab/pump", orjson.dumps(pump), at(minute))]
        found += [Envelope(f"d/{key}/lamp", orjson.dumps(lamp), at(minute + 0.3))]
    return [*found, Envelope(f"d/{key}/lamp/availability", b"offline", at(60))]


@pytest.mark.parametrize(
    ("series", "energy", "online"), [([], 180 + 29, False), (["lab/pump"], 180, True), (["lamp"], None, False)]
)
def test_plugs_behind_one_zigbee_bridge_are_told_apart_and_chosen(
    db: Session, series: list[str], energy: int | None, online: bool
) -> None:
    profile = {"family": "zigbee2mqtt", "series": series}
    row, _ = register_device(db, resource_id=a_resource(db).id, name="bridge", profile=profile, actor_id=None, now=at(-1))
    stream = [Envelope(f"d/{row.key}/lab/pump/availability", b"online", at(0)), *zigbee(row.key)]
    for first in range(0, len(stream), 7):
        part = stream[first : first + 7]
        intake.store(db, part)
        actions.fold_devices(db, now=part[-1].received_at)
    wanted = [] if energy is None else [(at(10), at(40), at(40), 1800, energy, Grade.A)]
    assert stored(db, row) == whole(runs_of(stream, read_profile(profile), until=at(60))) == wanted
    assert row.online is online


def test_its_live_power_is_the_sum(db: Session) -> None:
    row = a_plug(db)
    intake.store(db, plug([400.0] * 10, [30.0] * 10, key=row.key))
    actions.fold_devices(db, now=at(9.6))
    found = live_states(db, [row.resource_id], now=at(9.6))[row.resource_id]
    assert (found.state, found.power_w, found.since) == (Live.IN_USE, 430, at(0))


def test_the_counters_of_a_tasmota_with_channels_begin_anew_each_by_itself() -> None:
    def sensor(minute: int, *totals: float) -> Envelope:
        body = {"ENERGY": {"Total": totals, "Power": [300, 200]}}
        return Envelope("tele/k/SENSOR", orjson.dumps(body), at(minute))

    stream = [sensor(minute, 30 + minute / 1000, (20 + minute / 1000) if minute < 15 else minute / 1000) for minute in range(31)]
    (run,) = runs_of(stream, Profile(family="tasmota"), until=at(30))
    assert (run.start, run.until, round(run.energy_wh, 3), run.flags) == (at(0), at(30), 30 + 14 + 15 + 15, ("energy_reset",))
    (alone,) = runs_of([sensor(minute, minute / 125) for minute in range(31)], Profile(family="tasmota"), until=at(30))
    assert (round(alone.energy_wh, 6), alone.grade) == (240, Grade.A)
