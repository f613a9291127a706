"""Thresholds count from when they were set: what lies before is read as it was, whenever it is folded."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from devices import actions, queries
from devices.folding import runs_of
from devices.intake import actions as intake
from devices.profile import Profile, Profiles
from devices.readings import Envelope
from devices.registry.actions import register_device, set_thresholds
from devices.sessions import Session as Run
from devices.tables import Device, UsageSession
from tests.builders import a_person, a_resource

BEGIN = datetime(2026, 3, 10, 1, tzinfo=UTC)


def minute(count: float) -> datetime:
    return BEGIN + timedelta(minutes=count)


def said(at: float, power: float, key: str = "k1") -> Envelope:
    return Envelope(f"d/{key}/t", orjson.dumps({"p": power, "e": 1000 + at / 10}), minute(at))


def spans(runs: Iterable[Run]) -> list[tuple[float, float | None]]:
    return [(_minutes(run.start), run.end and _minutes(run.end)) for run in runs]


def _minutes(at: datetime) -> float:
    return (at - BEGIN).total_seconds() / 60


def changed(at: float, **values: Any) -> Profiles:
    return Profiles([(BEGIN, Profile()), (minute(at), Profile(**values))])


def test_what_is_measured_is_read_by_what_was_in_force_then() -> None:
    told = [said(at, 150) for at in range(20)]
    assert spans(runs_of(told, changed(10, p_on=200, p_off=160), until=minute(20))) == [(0, 10)]
    assert spans(runs_of(told, changed(10, p_on=120, p_off=60), until=minute(20))) == [(0, None)]


def test_before_the_first_the_first_counts() -> None:
    told = [said(at, 350) for at in range(-10, 0)]
    assert spans(runs_of(told, changed(10, p_on=900), until=minute(20))) == [(-10, -1)]


def test_a_pause_a_silence_and_a_beginning_are_as_long_as_was_set_when_they_began() -> None:
    run, pause = [said(at, 350) for at in range(10)], [said(at, 8) for at in range(10, 20)]
    after = [said(at, 350) for at in range(20, 30)]
    long, quick = {"min_off": 3600.0}, {"stale_after": 3600.0, "max_gap": 7200.0}
    assert spans(runs_of([*run, *pause, *after], changed(11, **long), until=minute(30))) == [(0, 10), (20, None)]
    assert spans(runs_of([*run, *pause, *after], changed(10, **long), until=minute(30))) == [(0, None)]
    assert spans(runs_of([*run, *after], changed(9.5, **quick), until=minute(30)))[0] == (0, None)
    assert [one.unverified_s for one in runs_of([*run, *after], changed(9.5, **quick), until=minute(30))] == [11 * 60]
    assert [one.unverified_s for one in runs_of([*run, *after], changed(9, **quick), until=minute(30))] == [0]
    assert spans(runs_of(run, changed(0.5, min_on=3600), until=minute(10))) == [(0, None)]


def test_a_message_is_read_by_the_family_that_was_set_as_it_came() -> None:
    told = [said(at, 350) for at in range(10)]
    plug = Envelope("d/k1/tele/SENSOR", b'{"Time":"2026-03-10T01:10:00","ENERGY":{"Total":1,"Power":350}}', minute(10))
    other = Envelope("d/k1/t", b'{"p": 8}', minute(11))
    assert spans(runs_of([*told, plug, other], changed(9.5, family="tasmota"), until=minute(12))) == [(0, None)]
    assert [one.until for one in runs_of([*told, plug], changed(9.5, family="tasmota"), until=minute(12))] == [minute(10)]


LEVELS = st.lists(st.sampled_from([0.0, 8.0, 80.0, 150.0, 350.0]), min_size=1, max_size=40)
PACES = st.sampled_from([0.5, 1.0, 2.5, 4.0])
VALUES = st.fixed_dictionaries(
    {},
    optional={
        "p_on": st.sampled_from([90.0, 200.0]),
        "p_off": st.sampled_from([5.0, 70.0]),
        "min_off": st.sampled_from([0.0, 60.0, 600.0]),
        "min_on": st.sampled_from([0.0, 300.0]),
        "stale_after": st.sampled_from([60.0, 400.0]),
        "max_gap": st.sampled_from([120.0, 1200.0]),
    },
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(st.tuples(LEVELS, PACES, VALUES), min_size=1, max_size=5))
@example(parts=[([350.0] * 10, 1.0, {}), ([8.0] * 5, 1.0, {"min_off": 600.0}), ([350.0] * 5, 1.0, {})])
def test_folded_after_each_part_it_is_what_the_whole_comes_to(
    db: Session, parts: list[tuple[list[float], float, dict[str, float]]]
) -> None:
    """Each part is heard and folded, then thresholds change; nothing that was stored is another afterwards."""
    row, _ = register_device(db, resource_id=a_resource(db).id, name="plug", profile={}, actor_id=None, now=minute(-1))
    person, at = a_person(db).id, 0.0
    told: list[Envelope] = []
    for levels, pace, values in parts:
        heard = [said(at + pace * number, power, row.key) for number, power in enumerate(levels)]
        intake.store(db, heard)
        told += heard
        at += pace * len(levels)
        actions.fold_devices(db, now=minute(at - pace))
        set_thresholds(db, device_id=row.id, profile=values, actor_id=person, now=minute(at - pace / 2))
    actions.fold_devices(db, now=minute(at))
    whole = runs_of(told, queries.profiles_of(db, row.id), until=minute(at))
    assert stored(db, row) == [(run.start, run.end, run.until, int(run.confirmed_s), round(run.energy_wh)) for run in whole]


def stored(db: Session, row: Device) -> list[tuple[object, ...]]:
    mine = select(UsageSession).where(UsageSession.device_id == row.id).order_by(UsageSession.starts_at)
    return [(run.starts_at, run.ends_at, run.until, run.confirmed_s, run.energy_wh) for run in db.scalars(mine)]
