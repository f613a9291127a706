"""Use that rises before the evaluated year ends: what raises it, and that honest ups and downs raise none."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from sqlalchemy import insert
from sqlalchemy.orm import Session

from booking.outages.actions import record_outage
from devices.flags import actions as flags
from devices.flags import queries
from devices.flags.bursts import DAYS_BEFORE, LAST_DAYS
from devices.flags.days import Day, Ended, Found, Kind
from devices.flags.rules import look
from devices.profile import Profile
from devices.registry.actions import register_device
from devices.segments import State
from devices.tables import Device, StateSegment
from evaluation.periods import last_year_end
from evaluation.schemes import DEFAULT, load_scheme
from marketplace.slot import Slot
from marketplace.tables import Resource
from tests.builders import a_booking, a_person, a_resource

END = datetime(2025, 12, 31, 16, tzinfo=UTC)
LAST = Slot(datetime(2025, 12, 31, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))
ALL = LAST_DAYS + DAYS_BEFORE


def found(hours: Sequence[float | None]) -> list[Found]:
    return look(Day(LAST, (), Profile(), ended=Ended(END, hours)))


def days(last: float, before: float) -> list[float | None]:
    return [*[last] * LAST_DAYS, *[before] * DAYS_BEFORE]


def test_a_fortnight_far_above_what_was_usual_is_asked_about() -> None:
    (one,) = found(days(9.0, 2.0))
    assert (one.kind, one.span) == (Kind.BURST, Slot(END - timedelta(days=14), END))
    assert one.evidence == {"hours": 126.0, "usual_h": 28.0, "busiest_h": 28.0, "days_before": 84}
    assert [one.kind for one in found(days(2.0, 0.0))] == [Kind.BURST]  # it rested all the year


@pytest.mark.parametrize(
    ("last", "before", "raised"),
    [
        (7.9, 4.0, 0),  # less than twice the usual
        (8.0, 4.0, 1),
        (1.9, 0.0, 0),  # less than two hours a day more
        (3.0, 1.0, 1),
        (24.0, 13.0, 0),  # a machine that works much cannot do twice as much
    ],
)
def test_the_borders_of_what_counts(last: float, before: float, raised: int) -> None:
    assert len(found(days(last, before))) == raised


def test_a_busy_fortnight_before_explains_another_one() -> None:
    hours = days(9.0, 2.0)
    assert len(found([*hours[:40], *[5.9] * 14, *hours[54:]])) == 1
    assert found([*hours[:40], *[6.1] * 14, *hours[54:]]) == []


def test_without_eight_weeks_that_were_seen_nothing_is_usual() -> None:
    hours = days(9.0, 2.0)
    assert found([*hours[:14], *[None] * 29, *hours[43:]]) == []
    assert len(found([*hours[:14], *[None] * 28, *hours[42:]])) == 1
    assert found([*[None] * 14, *hours[14:]]) == []
    assert found(hours[:14]) == []


@pytest.mark.parametrize("seed", range(300))
def test_honest_ups_and_downs_raise_none(seed: int) -> None:
    """Weekends, busy and quiet spells, days without work, and days on which nobody saw it."""
    noise, hours, level = Random(seed), list[float | None](), 1.0
    for day in range(ALL):
        level = noise.choice((0.3, 1.0, 2.0)) if noise.random() < 1 / 10 else level
        worked = 0.0 if day % 7 > 4 or noise.random() < 0.2 else min(24.0, noise.lognormvariate(1.3, 0.5) * level)
        hours.append(None if noise.random() < 0.1 else worked)
    assert found(hours) == []


def a_year(db: Session, hours: Sequence[float]) -> Device:
    """A device that ran these hours of each 24 before the end, the last first, and was seen all the while."""
    row, _ = register_device(db, resource_id=a_resource(db).id, name="plug", profile={}, actor_id=None, now=END)
    rows = []
    for back, run in enumerate(hours):
        begin = END - timedelta(days=back + 1)
        turn, until = begin + timedelta(hours=run), begin + timedelta(days=1)
        pieces = [(begin, turn, State.RUN), (turn, until, State.IDLE)]
        rows += [piece for piece in pieces if piece[0] < piece[1]]
    same = {"device_id": row.id, "resource_id": row.resource_id, "bridged": False}
    db.execute(insert(StateSegment), [{"starts_at": a, "ends_at": b, "state": state, **same} for a, b, state in rows])
    row.last_message_at = END - timedelta(days=2)
    db.flush()
    return row


def raised(db: Session, row: Device) -> list[Kind]:
    """Looked at before the end, and again after it."""
    for now in (END - timedelta(days=3), END + timedelta(days=3)):
        flags.look_at_days(db, now=now, year_end=last_year_end(load_scheme(DEFAULT), now))
    return [one.kind for one in queries.flags_of(db, row.resource_id)]


def test_it_is_asked_once_the_year_is_over_though_the_meter_fell_silent_before(db: Session) -> None:
    row = a_year(db, [10.0] * LAST_DAYS + [1.5] * DAYS_BEFORE)
    assert queries.hours_before(db, row, END) == [10.0] * LAST_DAYS + [1.5] * DAYS_BEFORE
    assert raised(db, row) == [Kind.BURST]
    flags.look_at_days(db, now=END + timedelta(days=9), year_end=END)
    (one,) = queries.flags_of(db, row.resource_id)
    assert (one.day, one.evidence["hours"]) == (LAST.start.date(), 140.0)


def test_no_other_day_is_the_end_of_a_year(db: Session) -> None:
    row = a_year(db, [10.0] * LAST_DAYS + [1.5] * DAYS_BEFORE)
    for now in (END - timedelta(days=3), END + timedelta(days=3)):
        flags.look_at_days(db, now=now)
    assert queries.flags_of(db, row.resource_id) == []


def test_what_outside_customers_had_booked_is_no_burst(db: Session) -> None:
    row = a_year(db, [10.0] * LAST_DAYS + [1.5] * DAYS_BEFORE)
    for back in range(LAST_DAYS):
        a_booking(db, resource=db.get(Resource, row.resource_id), start=END - timedelta(days=back + 1), hours=10)
    assert queries.hours_before(db, row, END)[:LAST_DAYS] == [0.0] * LAST_DAYS
    assert raised(db, row) == []


def test_days_without_signal_or_out_of_use_tell_nothing_of_what_is_usual(db: Session) -> None:
    row = a_year(db, [10.0] * LAST_DAYS + [0.0] * 40)
    down = Slot(END - timedelta(days=50), END - timedelta(days=20))
    person = a_person(db).id
    record_outage(db, resource_id=row.resource_id, slot=down, planned=True, reason="大修", actor_id=person, now=down.start)
    assert [one is None for one in queries.hours_before(db, row, END)] == [20 <= back < 50 or back >= 54 for back in range(ALL)]
    assert raised(db, row) == []


def test_a_year_ends_where_the_scheme_says() -> None:
    scheme = load_scheme(DEFAULT)
    moments = [END - timedelta(seconds=1), END, END + timedelta(days=200)]
    assert [last_year_end(scheme, now) for now in moments] == [datetime(2024, 12, 31, 16, tzinfo=UTC), END, END]
