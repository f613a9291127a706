"""Rules and outages: a plan proposes only what applying it grants, and no rule broken before forbids its provider a step."""

from datetime import date
from typing import Any

import pytest
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from billing.queries import find_quote
from billing.quotes.actions import quote_booking
from booking import actions
from booking.admission import Wish
from booking.outages.plans import Proposal, Step, propose
from booking.qualifications import actions as qualifications
from booking.qualifications.actions import Named
from booking.tables import Approval, Booking, Category
from marketplace.permissions import Actor, Grant
from marketplace.roles import Role
from marketplace.slot import Slot
from marketplace.tables import AuditEntry, Institution, Message, Person, Resource
from tests.booking.asking import NOW, booked, hours
from tests.builders import a_member, a_person, a_resource, a_rule_version, an_institution, an_organisation
from web.outages import PlannedOutage, PlanRefused, record_outage
from web.running import audit

CLOSED = hours(8, 10)


@pytest.fixture
def house(db: Session) -> Institution:
    return an_institution(db)


def enter(db: Session, place: Resource, plan: list[Proposal], closed: Slot = CLOSED) -> None:
    technician = Actor("per_1", grants=frozenset({Grant(Role.TECHNICIAN, institution_id=place.institution_id)}))
    outage = PlannedOutage(closed, planned=True, reason="检修")
    record_outage(db, actor=technician, resource_id=place.id, outage=outage, plan=plan, now=NOW)
    db.flush()


def carried_out(db: Session, place: Resource, closed: Slot = CLOSED) -> list[Step]:
    """The steps proposed, once they are done."""
    plan = propose(db, resource_id=place.id, slot=closed, now=NOW)
    for one in [one for one in plan if find_quote(db, one.booking.id) is None]:
        quote_booking(db, booking=one.booking, organisation=None, payment_method=None, now=NOW)
    enter(db, place, plan, closed)
    assert all(one.slot == one.booking.slot for one in plan if one.slot)
    assert audit(db) == []
    return [one.step for one in plan]


def set_aside(db: Session, booking: Booking) -> list[Any]:
    found = select(AuditEntry).where(AuditEntry.action == "override_rules", AuditEntry.object_id == booking.id)
    return [one.after for one in db.scalars(found)]


def qualified(db: Session, house: Institution, person: Person, until: date | None) -> dict[str, Any]:
    """Rules that ask for what the person holds until that day."""
    laser = qualifications.define(
        db, institution_id=house.id, kind=Named("激光"), levels=[Named("独立")], actor_id="per_1", now=NOW
    )
    if until:
        qualifications.grant(
            db,
            qualification_id=laser.id,
            email=person.email,
            level=1,
            valid_until=until,
            anyone=True,
            actor_id="per_1",
            now=NOW,
        )
    return {"qualifications": [{"qualification_id": laser.id, "level": 1, "unless_assisted": False}]}


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        ({"max_min": 60}, "too_long"),
        ({"min_min": 300}, "too_short"),
        ({"step_min": 180}, "off_step"),
        ({"quotas": [{"limit": 1, "unit": "hours", "per": "day", "by": "person"}]}, "over_quota_hours"),
        ({"audience": [{"group": "academic", "start": None}]}, "not_in_audience"),
        ({"horizon_days": 1, "notice_min": 0}, "beyond_horizon"),
        ({"hours": [{"weekday": day, "open_min": 0, "close_min": 60} for day in range(7)]}, "outside_hours"),
    ],
)
def test_a_rule_that_a_booking_breaks_since_it_was_accepted_forbids_no_step(
    db: Session, house: Institution, rules: dict[str, Any], code: str
) -> None:
    place = a_resource(db, institution=house)
    booking = booked(db, place, hours(8, 12))
    a_rule_version(db, place, number=2, created_at=NOW, **rules)
    assert carried_out(db, place) == [Step.SHIFT]
    assert booking.slot.duration == hours(8, 12).duration
    [told] = set_aside(db, booking)
    assert told == {"reason": "检修", "codes": [code]}


def test_rules_that_it_keeps_bind_its_provider_and_the_refusal_names_the_booking(db: Session, house: Institution) -> None:
    days = [{"weekday": day, "open_min": 16 * 60, "close_min": 20 * 60} for day in range(7)]
    place = a_resource(db, institution=house, rules={"hours": days, "max_min": 240})
    rest = [booked(db, place, hours(8, 9)), booked(db, place, hours(9, 11))]
    a_rule_version(db, place, number=2, created_at=NOW, hours=days, max_min=60)
    plan = [Proposal(rest[0], Step.KEEP), Proposal(rest[1], Step.SHIFT, slot=hours(14, 16))]
    with pytest.raises(PlanRefused) as caught:
        enter(db, place, plan)
    refusal = caught.value
    assert [(one.code, one.values["field"], one.values["booking_id"]) for one in refusal.reasons] == [
        ("outside_hours", "plan.1", rest[1].id)
    ]
    assert (refusal.code, refusal.values["field"]) == ("plan_refused", "plan.1")


def test_a_time_that_the_qualification_does_not_reach_is_not_proposed(db: Session, house: Institution) -> None:
    person, firm = a_person(db), an_organisation(db)
    place = a_resource(db, institution=house, rules={"notice_min": 1440, **qualified(db, house, person, date(2026, 3, 10))})
    other = a_resource(db, institution=house, price_minor=20000)
    wish = Wish(place.id, hours(8, 9), person.id, firm.id, Category.EXT)
    booking = actions.book(db, wish=wish, now=NOW)
    assert carried_out(db, place) == [Step.SHIFT]
    assert booking.slot.start.date() == date(2026, 3, 10)
    again = actions.book(db, wish=Wish(place.id, hours(12, 13), person.id, firm.id, Category.EXT), now=NOW)
    assert carried_out(db, place, hours(-23, 20)) == [Step.MOVE, Step.MOVE]
    assert {booking.resource_id, again.resource_id} == {other.id}


def test_what_the_booker_lacks_by_new_rules_is_never_set_aside(db: Session, house: Institution) -> None:
    person, firm = a_person(db), an_organisation(db)
    place = a_resource(db, institution=house)
    booking = actions.book(db, wish=Wish(place.id, hours(8, 9), person.id, firm.id, Category.EXT), now=NOW)
    a_rule_version(db, place, number=2, created_at=NOW, **qualified(db, house, person, None))
    with pytest.raises(PlanRefused) as caught, db.begin_nested():
        enter(db, place, [Proposal(booking, Step.SHIFT, slot=hours(12, 13))])
    assert [one.code for one in caught.value.reasons] == ["qualification_missing"]
    assert carried_out(db, place) == [Step.CANCEL]


def test_days_that_a_quota_fills_are_passed_over_also_by_what_the_plan_itself_puts_there(db: Session, house: Institution) -> None:
    quota = {"limit": 1, "unit": "count", "per": "day", "by": "person"}
    place = a_resource(db, institution=house, capacity=3, rules={"quotas": [quota]})
    person, firm = a_person(db), an_organisation(db)
    days = [
        actions.book(db, wish=Wish(place.id, hours(8 + day, 9 + day), person.id, firm.id, Category.EXT), now=NOW)
        for day in (0, 24, 48)
    ]
    closed = hours(-4, 40)
    assert carried_out(db, place, closed) == [Step.SHIFT, Step.SHIFT]
    starts = {row.starts_at.date() for row in days}
    assert len(starts) == 3
    assert not any(row.slot.overlaps(closed) for row in days)
    assert set_aside(db, days[0]) == []


def test_one_that_is_asked_for_may_be_shifted_by_its_provider(db: Session, house: Institution) -> None:
    place = a_resource(db, institution=house)
    booked(db, place, hours(8, 9))
    a_rule_version(db, place, number=2, created_at=NOW, approval=Approval.REQUEST)
    assert carried_out(db, place) == [Step.SHIFT]


def test_a_hold_that_nobody_paid_in_time_is_left_to_its_timer(db: Session, house: Institution) -> None:
    place = a_resource(db, institution=house)
    wish = Wish(place.id, hours(8, 9), a_person(db).id, an_organisation(db).id, Category.EXT)
    actions.book(db, wish=wish, hold_until=NOW, now=NOW)
    assert carried_out(db, place) == [Step.KEEP]


def test_managers_hear_of_each_request_that_a_plan_moves_as_before_and_its_booker_of_all_at_once(
    db: Session, house: Institution
) -> None:
    manager = a_member(db, Role.MANAGER, institution=house)
    place = a_resource(db, institution=house, rules={"approval": Approval.REQUEST})
    person, firm = a_person(db), an_organisation(db)
    asked = [
        actions.book(db, wish=Wish(place.id, hours(8 + n, 9 + n), person.id, firm.id, Category.EXT), now=NOW) for n in range(2)
    ]
    db.execute(delete(Message))
    assert carried_out(db, place) == [Step.SHIFT, Step.SHIFT]
    told = [(one.person_id, one.kind, one.data["booking_id"]) for one in db.scalars(select(Message))]
    assert sorted(told) == sorted(
        [(person.id, "booking_replanned", asked[0].id), *((manager.id, "request_to_decide", one.id) for one in asked)]
    )
