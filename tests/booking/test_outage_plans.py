"""What is proposed for the bookings of whatever takes the closed equipment along: lines, and those that share it."""

import pytest
from sqlalchemy.orm import Session

from billing.quotes.actions import quote_booking
from booking import queries
from booking.admission import Wish
from booking.lines.actions import share
from booking.outages.actions import affected_by
from booking.outages.plans import MOST_SOUGHT, Proposal, Step, propose
from booking.rules.actions import Further, RuleSet, set_rules
from booking.series.actions import book_series
from booking.tables import Category, OnConflict
from marketplace.permissions import Actor, Grant
from marketplace.roles import Role
from marketplace.slot import Slot
from marketplace.tables import ListingState, Resource
from tests.booking.asking import NOW, booked, hours
from tests.builders import a_person, a_resource, an_institution, an_organisation
from web.outages import PlannedOutage, record_outage
from web.running import audit


def carried_out(db: Session, place: Resource, slot: Slot, plan: list[Proposal]) -> None:
    manager = Actor("per_1", grants=frozenset({Grant(Role.MANAGER, institution_id=place.institution_id)}))
    for one in plan:
        quote_booking(db, booking=one.booking, organisation=None, payment_method=None, now=NOW)
    outage = PlannedOutage(slot, planned=True, reason="检修")
    record_outage(db, actor=manager, resource_id=place.id, outage=outage, plan=plan, now=NOW)
    for one in plan:
        db.refresh(one.booking)


@pytest.fixture
def line(db: Session) -> Resource:
    return a_resource(db)


def test_a_booking_of_the_line_is_shifted_whole_out_of_its_stations_outage(db: Session, line: Resource) -> None:
    coater, oven = (a_resource(db, parent_id=line.id) for _ in range(2))
    whole, alone = booked(db, line, hours(9, 11)), booked(db, oven, hours(12, 13))
    closed = hours(8, 14)
    assert [row.id for row in affected_by(db, resource_id=coater.id, slot=closed)] == [whole.id]
    assert [row.id for row in affected_by(db, resource_id=oven.id, slot=closed)] == [whole.id, alone.id]
    plan = propose(db, resource_id=coater.id, slot=closed, now=NOW)
    assert [(one.step, one.slot) for one in plan] == [(Step.SHIFT, hours(33, 35))]
    carried_out(db, coater, closed, plan)
    assert whole.slot == hours(33, 35)
    assert queries.free_time(db, coater.id, within=closed, now=NOW) == []
    assert queries.free_time(db, oven.id, within=hours(8, 11), now=NOW) == [hours(8, 11)]
    assert audit(db) == []


def test_of_more_bookings_than_are_sought_for_the_last_are_cancelled(db: Session, line: Resource) -> None:
    set_rules(db, resource_id=line.id, rules=RuleSet(horizon_days=400), further=Further(), actor_id=None, now=NOW)
    wish = Wish(line.id, hours(24, 25), a_person(db).id, an_organisation(db).id, Category.EXT)
    book_series(db, wish=wish, rrule=f"FREQ=DAILY;COUNT={MOST_SOUGHT + 2}", on_conflict=OnConflict.REFUSE, now=NOW)
    plan = propose(db, resource_id=line.id, slot=hours(20, 24 * 400), now=NOW)
    assert len(plan) == MOST_SOUGHT + 2
    assert {one.step for one in plan[-2:]} == {Step.CANCEL}
    assert plan[0].step is Step.SHIFT


def test_those_that_share_a_part_go_where_it_is_free_for_each_of_them(db: Session) -> None:
    house = an_institution(db)
    pump = a_resource(db, institution=house, state=ListingState.DRAFT)
    machines = [a_resource(db, institution=house) for _ in range(3)]
    for machine in machines:
        share(db, resource_id=machine.id, part_ids=[pump.id], actor_id="per_1", now=NOW)
    met = [booked(db, machine, hours(9 + 2 * number, 11 + 2 * number)) for number, machine in enumerate(machines[:2])]
    booked(db, machines[2], hours(33, 37))
    closed = hours(8, 14)
    plan = propose(db, resource_id=pump.id, slot=closed, now=NOW)
    assert [one.booking.id for one in plan] == [row.id for row in met]
    assert {one.step for one in plan} == {Step.SHIFT}
    carried_out(db, pump, closed, plan)
    assert [row.slot for row in met] == [one.slot for one in plan]
    assert not any(row.slot.overlaps(hours(33, 37)) or row.slot.overlaps(closed) for row in met)
    assert audit(db) == []


def test_a_like_machine_that_shares_the_closed_part_is_no_way_out(db: Session) -> None:
    house = an_institution(db)
    pump = a_resource(db, institution=house, state=ListingState.DRAFT)
    rules = {"horizon_days": 2}
    one, other = (a_resource(db, institution=house, rules=rules) for _ in range(2))
    for machine in (one, other):
        share(db, resource_id=machine.id, part_ids=[pump.id], actor_id="per_1", now=NOW)
    booked(db, one, hours(9, 11))
    (found,) = propose(db, resource_id=pump.id, slot=hours(-23, 90), now=NOW)
    assert found.step is Step.CANCEL
