"""A line and its stations: the line takes its stations along, a station stands in the line's way, sisters do not."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from booking import actions, queries
from booking.actions import CancelledBy
from booking.admission import SlotRefused
from booking.lines.actions import fit
from booking.outages.actions import record_outage
from booking.rules.actions import RuleSet, set_rules
from booking.tables import Claim
from marketplace.refusals import Invalid
from marketplace.tables import Resource
from tests.booking.asking import NOW, booked, granted_at_once, hours, refusal
from tests.builders import a_resource
from web.running import audit


@pytest.fixture
def line(db: Session) -> Resource:
    return a_resource(db)


@pytest.fixture
def stations(db: Session, line: Resource) -> list[Resource]:
    """A coater of one place and an oven of three."""
    return [a_resource(db, parent_id=line.id), a_resource(db, parent_id=line.id, capacity=3)]


def test_a_booked_line_takes_its_stations_along(db: Session, line: Resource, stations: list[Resource]) -> None:
    booked(db, line, hours(2, 4))
    for station in stations:
        refused = refusal(db, station, hours(3, 5))
        assert refused.conflicts == (hours(3, 4),)
        assert refused.alternatives[0] == hours(4, 6)
        booked(db, station, hours(4, 5))


def test_a_booked_station_stands_in_the_lines_way_and_not_in_its_sisters(
    db: Session, line: Resource, stations: list[Resource]
) -> None:
    coater, oven = stations
    booked(db, coater, hours(2, 3))
    booked(db, oven, hours(4, 5))
    booked(db, oven, hours(2, 3))
    refused = refusal(db, line, hours(2.5, 4.5))
    assert refused.conflicts == (hours(2.5, 3), hours(4, 4.5))
    assert refused.alternatives == (hours(5, 7), hours(0, 2), hours(7, 9))
    assert queries.free_time(db, line.id, within=hours(1, 6), now=NOW) == [hours(1, 2), hours(3, 4), hours(5, 6)]


def test_a_station_below_a_station_is_taken_along_too(db: Session, line: Resource, stations: list[Resource]) -> None:
    pump = a_resource(db, parent_id=stations[0].id)
    booked(db, pump, hours(2, 3))
    refusal(db, line, hours(2, 3))
    refusal(db, stations[0], hours(2, 3))
    booked(db, stations[1], hours(2, 3))


def test_a_stations_outage_closes_the_time_that_a_use_of_the_line_leaves(
    db: Session, line: Resource, stations: list[Resource]
) -> None:
    booking = booked(db, line, hours(2, 4))
    oven = stations[1].id
    record_outage(db, resource_id=oven, slot=hours(1, 5), planned=True, reason="保养", actor_id="per_1", now=NOW)
    actions.cancel(db, booking_id=booking.id, by=CancelledBy.CUSTOMER, actor_id=booking.person_id, now=NOW)
    assert queries.free_time(db, oven, within=hours(1, 5), now=NOW) == []
    assert refusal(db, line, hours(2, 4)).conflicts == (hours(2, 4),)
    booked(db, stations[0], hours(2, 4))


def test_a_line_that_is_cancelled_or_moved_lets_its_stations_go(db: Session, line: Resource, stations: list[Resource]) -> None:
    booking = booked(db, line, hours(2, 4))
    actions.move(db, booking_id=booking.id, slot=hours(3, 5), version=1, actor_id="per_1", now=NOW)
    booked(db, stations[0], hours(2, 3))
    refusal(db, stations[0], hours(4, 5))
    actions.cancel(db, booking_id=booking.id, by=CancelledBy.CUSTOMER, actor_id="per_1", now=NOW)
    booked(db, stations[0], hours(4, 5))
    assert audit(db) == []


def test_the_lines_buffers_hold_at_its_stations(db: Session, line: Resource, stations: list[Resource]) -> None:
    set_rules(db, resource_id=line.id, rules=RuleSet(setup_min=15, cleaning_min=30), actor_id=None, now=NOW)
    booked(db, line, hours(2, 4))
    refusal(db, stations[0], hours(4.25, 5))
    booked(db, stations[0], hours(4.5, 5))
    refusal(db, line, hours(5.2, 6))
    booked(db, line, hours(5.25, 6))


def test_a_station_that_joins_a_booked_line_is_held_for_its_bookings(db: Session, line: Resource) -> None:
    booked(db, line, hours(2, 4))
    late = a_resource(db, parent_id=line.id, capacity=2)
    fit(db, resource_id=late.id, now=NOW)
    fit(db, resource_id=late.id, now=NOW)
    refusal(db, late, hours(3, 5))
    late.capacity = 3
    fit(db, resource_id=late.id, now=NOW)
    assert db.scalar(select(func.count()).where(Claim.resource_id == late.id, Claim.active)) == 3
    late.parent_id = None
    db.flush()
    fit(db, resource_id=late.id, now=NOW)
    booked(db, late, hours(3, 5))


def test_a_machine_that_is_booked_itself_does_not_join_a_line_booked_at_the_same_time(db: Session, line: Resource) -> None:
    alone, free = a_resource(db), a_resource(db)
    booked(db, line, hours(2, 4))
    booked(db, alone, hours(3, 5))
    booked(db, free, hours(4, 5))
    free.parent_id = alone.parent_id = line.id
    db.flush()
    fit(db, resource_id=free.id, now=NOW)
    with pytest.raises(Invalid) as refused, db.begin_nested():
        fit(db, resource_id=alone.id, now=NOW)
    assert refused.value.values["field"] == "parent_id"


def test_of_line_and_station_asked_for_at_once_one_is_granted(committed_db: sessionmaker[Session]) -> None:
    with committed_db.begin() as session:
        line = a_resource(session)
        ids = [line.id, *(a_resource(session, parent_id=line.id).id for _ in range(2))]
    granted = granted_at_once(committed_db, ids * 3, hours(2, 3))
    assert sorted(granted) in ([ids[0]], sorted(ids[1:]))
    with committed_db() as session:
        assert audit(session) == []


STEPS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20), st.integers(1, 6)), min_size=1, max_size=12)


@pytest.mark.laws
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_what_is_listed_is_granted_and_what_is_refused_was_not_listed(db: Session, steps: list[tuple[int, int, int]]) -> None:
    line = a_resource(db)
    coater, oven = a_resource(db, parent_id=line.id), a_resource(db, parent_id=line.id, capacity=2)
    set_rules(db, resource_id=coater.id, rules=RuleSet(cleaning_min=30), actor_id=None, now=NOW)
    places = [line, coater, oven, a_resource(db, parent_id=coater.id)]
    for which, start, length in steps:
        resource, slot = places[which], hours(start / 2, (start + length) / 2)
        listed = any(span.contains(slot) for span in queries.free_time(db, resource.id, within=slot, now=NOW))
        try:
            booked(db, resource, slot)
        except SlotRefused:
            assert not listed
        else:
            assert listed
    assert audit(db) == []
