"""Who is next hears that the use before is not over: by what the meter tells, once, and only if it concerns them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from booking.states import BookingState
from booking.tables import Booking
from devices.overruns.actions import KIND, warn
from devices.registry.actions import register_device
from devices.tables import LatestSample
from marketplace.tables import Message, Resource
from tests.builders import a_booking, a_person, a_resource

START = datetime(2026, 3, 10, 1, tzinfo=UTC)
END = START + timedelta(hours=2)
NOW = END + timedelta(minutes=5)


def a_line(db: Session, *, since: datetime | None = START, heard: datetime = NOW, **listing: Any) -> Resource:
    """A machine whose meter says at `heard` that it has run since then."""
    place = a_resource(db, **listing)
    meter, _ = register_device(db, resource_id=place.id, name="plug", profile={}, actor_id=None, now=START)
    told = {"at": heard, "power_w": 900, "in_use_since": since, "stale_after_s": 180, "power_series": []}
    db.add(LatestSample(device_id=meter.id, resource_id=place.id, **told))
    db.flush()
    return place


def next_to(db: Session, place: Resource, *, after: timedelta = timedelta(minutes=15), **values: Any) -> Booking:
    """A use that is over at END, and the next one."""
    a_booking(db, resource=place, start=START)
    return a_booking(db, resource=place, start=END + after, **values)


def told(db: Session) -> list[tuple[str, str]]:
    rows = db.scalars(select(Message).where(Message.kind == KIND))
    return [(row.person_id, row.data["booking_id"]) for row in rows]


def test_the_next_one_is_told_once(db: Session) -> None:
    waits = next_to(db, a_line(db))
    assert [warn(db, now=NOW + timedelta(seconds=step)) for step in (0, 30)] == [1, 0]
    assert told(db) == [(waits.person_id, waits.id)]


@pytest.mark.parametrize(
    "line",
    [
        {"since": None},
        {"since": END},
        {"heard": NOW - timedelta(minutes=4)},
        {"capacity": 2},
    ],
    ids=["stands still", "began after the end", "silent", "of several units"],
)
def test_nobody_is_told_of_what_is_not_seen(db: Session, line: dict[str, Any]) -> None:
    next_to(db, a_line(db, **line))
    assert warn(db, now=NOW) == 0


@pytest.mark.parametrize(
    "values", [{"after": timedelta(minutes=36)}, {"state": BookingState.CANCELLED}, {"state": BookingState.REQUESTED}]
)
def test_nobody_is_told_whom_it_does_not_concern(db: Session, values: dict[str, Any]) -> None:
    next_to(db, a_line(db), **values)
    assert warn(db, now=NOW) == 0


def test_packing_up_is_no_overrun_and_an_hour_later_it_is_old(db: Session) -> None:
    next_to(db, a_line(db, heard=END + timedelta(minutes=1)))
    assert warn(db, now=END + timedelta(minutes=1)) == 0
    next_to(db, a_line(db, heard=END + timedelta(minutes=61)), after=timedelta(minutes=80))
    assert warn(db, now=END + timedelta(minutes=61)) == 0


def test_whoever_has_both_is_not_told(db: Session) -> None:
    place, who = a_line(db), a_person(db)
    a_booking(db, resource=place, person=who, start=START)
    a_booking(db, resource=place, person=who, start=END)
    assert warn(db, now=NOW) == 0
