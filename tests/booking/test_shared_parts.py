"""Resources that share a part: each use takes one unit of it, so a part of one unit makes them exclude each other."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from booking import actions, queries
from booking.actions import CancelledBy
from booking.admission import SlotRefused
from booking.lines.actions import fit, share
from booking.outages.actions import record_outage
from booking.rules.actions import RuleSet, set_rules
from booking.tables import Claim
from marketplace.audit import history_of
from marketplace.refusals import Invalid, NotFound
from marketplace.tables import Institution, ListingState, Resource
from tests.booking.asking import NOW, booked, hours, refusal
from tests.builders import a_resource, an_institution
from web.running import audit


def sharing(db: Session, resource: Resource, *parts: Resource) -> None:
    share(db, resource_id=resource.id, part_ids=[part.id for part in parts], actor_id="per_1", now=NOW)


@pytest.fixture
def house(db: Session) -> Institution:
    return an_institution(db)


@pytest.fixture
def pump(db: Session, house: Institution) -> Resource:
    return a_resource(db, institution=house, state=ListingState.DRAFT)


@pytest.fixture
def machines(db: Session, house: Institution, pump: Resource) -> list[Resource]:
    """Three that share the pump."""
    found = [a_resource(db, institution=house) for _ in range(3)]
    for machine in found:
        sharing(db, machine, pump)
    return found


def test_two_that_share_a_part_of_one_unit_exclude_each_other(db: Session, machines: list[Resource]) -> None:
    one, other, _ = machines
    booking = booked(db, one, hours(2, 4))
    refused = refusal(db, other, hours(3, 5))
    assert [reason.code for reason in refused.reasons] == ["slot_taken"]
    assert refused.conflicts == (hours(3, 4),)
    assert refused.alternatives[0] == hours(4, 6)
    assert queries.free_time(db, other.id, within=hours(1, 6), now=NOW) == [hours(1, 2), hours(4, 6)]
    actions.cancel(db, booking_id=booking.id, by=CancelledBy.CUSTOMER, actor_id="per_1", now=NOW)
    booked(db, other, hours(3, 5))
    assert audit(db) == []


def test_of_a_part_of_two_units_two_uses_go_at_once(db: Session, pump: Resource, machines: list[Resource]) -> None:
    pump.capacity = 2
    db.flush()
    booked(db, machines[0], hours(2, 4))
    booked(db, machines[1], hours(3, 5))
    assert refusal(db, machines[2], hours(2.5, 4.5)).conflicts == (hours(3, 4),)
    booked(db, machines[2], hours(4, 5))


def test_a_line_takes_what_its_stations_share_and_the_part_stops_all_of_them(
    db: Session, house: Institution, pump: Resource, machines: list[Resource]
) -> None:
    line = a_resource(db, institution=house)
    machines[0].parent_id = machines[1].parent_id = line.id
    db.flush()
    booked(db, line, hours(2, 4))
    refusal(db, machines[2], hours(3, 4))
    booked(db, machines[2], hours(4, 5))
    refusal(db, line, hours(4, 6))
    record_outage(db, resource_id=pump.id, slot=hours(6, 8), planned=True, reason="seal", actor_id="per_1", now=NOW)
    assert [len(refusal(db, one, hours(6, 7)).alternatives) for one in (line, *machines)] == [3, 3, 3, 3]


def test_the_time_of_a_part_that_is_out_of_use_stays_closed_when_a_spared_booking_leaves(
    db: Session, pump: Resource, machines: list[Resource]
) -> None:
    booking = booked(db, machines[0], hours(2, 4))
    record_outage(db, resource_id=pump.id, slot=hours(1, 8), planned=True, reason="seal", actor_id="per_1", now=NOW)
    actions.cancel(db, booking_id=booking.id, by=CancelledBy.CUSTOMER, actor_id="per_1", now=NOW)
    refusal(db, machines[1], hours(2, 4))


def test_bookings_ahead_take_a_part_that_is_shared_from_now_on_and_give_back_one_that_is_not(
    db: Session, house: Institution, pump: Resource, machines: list[Resource]
) -> None:
    late = a_resource(db, institution=house)
    booked(db, late, hours(2, 4))
    sharing(db, late, pump)
    sharing(db, late, pump)
    assert db.scalar(select(func.count()).where(Claim.resource_id == pump.id, Claim.active)) == 1
    refusal(db, machines[0], hours(3, 5))
    fit(db, resource_id=pump.id, now=NOW)
    fit(db, resource_id=late.id, now=NOW)
    refusal(db, machines[0], hours(3, 5))
    sharing(db, late)
    booked(db, machines[0], hours(3, 5))
    told = [one.after for one in history_of(db, "resource", late.id) if one.action == "share_parts"]
    assert sorted(told, key=str) == [{"parts": [pump.id]}, {"parts": []}]
    assert audit(db) == []


def test_a_part_that_is_taken_at_a_booked_time_cannot_be_shared(
    db: Session, house: Institution, pump: Resource, machines: list[Resource]
) -> None:
    late = a_resource(db, institution=house)
    set_rules(db, resource_id=late.id, rules=RuleSet(cleaning_min=30), actor_id=None, now=NOW)
    booked(db, machines[0], hours(4, 5))
    booked(db, late, hours(2, 4))
    with pytest.raises(Invalid) as refused, db.begin_nested():
        sharing(db, late, pump)
    assert refused.value.values["field"] == "shares"


def test_only_parts_of_the_house_that_have_none_themselves_are_shared(
    db: Session, house: Institution, machines: list[Resource]
) -> None:
    line = a_resource(db, institution=house)
    station = a_resource(db, institution=house, parent_id=line.id)
    with pytest.raises(NotFound):
        sharing(db, line, a_resource(db))
    for wrong, part in ((line, machines[0]), (station, line), (line, line)):
        with pytest.raises(Invalid):
            sharing(db, wrong, part)


STEPS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20), st.integers(1, 6)), min_size=1, max_size=12)


@pytest.mark.laws
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_what_is_listed_is_granted_and_what_is_refused_was_not_listed(db: Session, steps: list[tuple[int, int, int]]) -> None:
    house = an_institution(db)
    pump, hoist = a_resource(db, institution=house), a_resource(db, institution=house, capacity=2)
    line = a_resource(db, institution=house)
    places = [line, a_resource(db, institution=house, parent_id=line.id), a_resource(db, institution=house), pump]
    set_rules(db, resource_id=places[1].id, rules=RuleSet(cleaning_min=30), actor_id=None, now=NOW)
    sharing(db, places[1], pump, hoist)
    sharing(db, places[2], pump, hoist)
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
