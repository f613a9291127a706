"""An outage's bookings that no machine of the house can take: they go to another institution, or end free of charge."""

from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from billing import queries as bills
from billing.actions import set_policy
from booking.bundles import moves
from booking.outages.plans import Proposal, Step
from booking.queries import bookings_of_bundle
from booking.states import BookingState
from booking.tables import Approval, Booking, Category
from marketplace.permissions import Actor, Grant
from marketplace.refusals import Invalid, NotAllowed, Stale
from marketplace.roles import Role
from marketplace.slot import Slot
from marketplace.tables import AuditEntry, Institution, Message, Resource, Settlement
from tests.booking.asking import NOW, hours
from tests.builders import a_member, a_resource, an_institution, an_organisation
from web import checkout
from web.outages import PlannedOutage, propose, record_outage
from web.running import audit

CLOSED = hours(-23, 90)
NEAR = {"horizon_days": 2}
"""Rules by which nothing can be shifted out of `CLOSED`."""


@pytest.fixture
def machine(db: Session) -> Resource:
    return a_resource(db, name="粉末衍射仪", name_en=None, rules=NEAR)


@pytest.fixture
def firm(db: Session) -> Actor:
    """One of its members."""
    house = an_organisation(db)
    person = a_member(db, Role.MEMBER, organisation=house)
    return Actor(person.id, grants=frozenset({Grant(Role.MEMBER, organisation_id=house.id)}))


def booked(db: Session, firm: Actor, place: Resource, slot: Slot) -> Booking:
    order = checkout.Order(place.id, slot, purpose="相组成")
    made, _ = checkout.book(db, actor=firm, order=order, now=NOW, hold=hours(0, 1).duration)
    db.flush()
    return made


@pytest.fixture
def booking(db: Session, machine: Resource, firm: Actor) -> Booking:
    return booked(db, firm, machine, hours(9, 11))


def another(db: Session, *, house: dict[str, Any] | None = None, rules: dict[str, Any] | None = None, **values: Any) -> Resource:
    """A like machine of another institution, cheaper by a third."""
    place = an_institution(db, name="成都分析测试中心", **(house or {}))
    return a_resource(
        db, institution=place, rules=rules, **{"name": "粉末衍射仪 2", "name_en": None, "price_minor": 20000, **values}
    )


def staff(machine: Resource, role: Role = Role.MANAGER) -> Actor:
    return Actor("per_1", grants=frozenset({Grant(role, institution_id=machine.institution_id)}))


def enter(db: Session, machine: Resource, plan: list[Proposal], role: Role = Role.MANAGER) -> None:
    outage = PlannedOutage(CLOSED, planned=True, reason="检修")
    record_outage(db, actor=staff(machine, role), resource_id=machine.id, outage=outage, plan=plan, now=NOW)
    db.flush()


def planned(db: Session, machine: Resource, role: Role = Role.MANAGER) -> Proposal:
    (found,) = propose(db, actor=staff(machine, role), resource_id=machine.id, slot=CLOSED, now=NOW)
    return found


def test_it_is_booked_there_at_that_price_and_ends_here_at_no_cost(db: Session, machine: Resource, booking: Booking) -> None:
    there = another(db)
    found = planned(db, machine)
    assert (found.step, found.resource_id, found.slot) == (Step.MOVE, there.id, booking.slot)
    enter(db, machine, [found])
    made = db.scalars(select(Booking).where(Booking.resource_id == there.id)).one()
    assert (made.state, made.slot, made.institution_id) == (BookingState.CONFIRMED, booking.slot, there.institution_id)
    assert (made.person_id, made.organisation_id) == (booking.person_id, booking.organisation_id)
    assert (made.category, made.purpose) == (Category.EXT, "相组成")
    assert bills.quote_of_booking(db, made.id).quote_minor == 40000
    assert (booking.state, booking.cancelled_by_provider) == (BookingState.CANCELLED, True)
    assert bills.statement_of_booking(db, booking.id) is None
    told = db.scalars(
        select(Message).where(Message.person_id == booking.person_id).order_by(Message.created_at, Message.id)
    ).all()
    assert [one.kind for one in told] == ["booking_confirmed", "booking_substituted"]
    assert told[1].data["instead_of"] == booking.id
    entry = db.scalars(select(AuditEntry).where(AuditEntry.object_id == made.id)).one()
    assert (entry.action, entry.actor_id, entry.institution_id) == ("substitute", "per_1", there.institution_id)
    assert audit(db) == []


def test_a_part_that_goes_elsewhere_stays_with_its_bundle(db: Session, machine: Resource, firm: Actor) -> None:
    oven, there = a_resource(db, name="管式炉"), another(db)
    orders = [checkout.Order(machine.id, hours(9, 11)), checkout.Order(oven.id, hours(12, 14))]
    (part, _), (rest, _) = checkout.book_bundle(db, actor=firm, orders=orders, now=NOW, hold=hours(0, 1).duration)
    enter(db, machine, [planned(db, machine)])
    now_there = db.scalars(select(Booking).where(Booking.resource_id == there.id)).one()
    assert part.state is BookingState.CANCELLED
    assert now_there.bundle_id == part.bundle_id
    assert [one.id for one in moves.movable(bookings_of_bundle(db, rest.bundle_id or ""), NOW)] == [now_there.id, rest.id]


def test_a_machine_of_the_house_goes_before_one_of_another(db: Session, machine: Resource, booking: Booking) -> None:
    another(db, price_minor=machine.price_minor)
    sister = a_resource(db, institution=db.get_one(Institution, machine.institution_id), name="衍射仪二号", price_minor=10000)
    assert planned(db, machine) == Proposal(booking, Step.MOVE, booking.slot, sister.id)


@pytest.mark.parametrize(
    "other",
    [
        {"price_minor": 30001},
        {"currency": "EUR"},
        {"timezone": "Europe/Berlin"},
        {"name": "扫描电镜"},
        {"name": "粉末衍射仪清洗机"},
        {"tags": [{"zh": "形貌", "en": "morphology"}]},
        {"chain": "biomedicine"},
        {"rules": {"approval": Approval.REQUEST}},
        {"rules": {"max_min": 60}},
        {"house": {"settlement": Settlement.PLATFORM_COLLECTS}},
    ],
)
def test_what_is_dearer_unlike_or_not_sure_is_not_proposed(
    db: Session, machine: Resource, booking: Booking, other: dict[str, Any]
) -> None:
    another(db, **other)
    assert planned(db, machine).step is Step.CANCEL


def test_a_price_of_ones_own_class_decides(db: Session, machine: Resource, booking: Booking) -> None:
    there = another(db)
    set_policy(db, resource_id=there.id, policy={"class_prices": {"industry": 31000}}, actor_id="per_1", now=NOW)
    assert planned(db, machine).step is Step.CANCEL


def test_a_tag_in_common_makes_them_alike(db: Session, machine: Resource, booking: Booking) -> None:
    machine.tags = [{"zh": "粉末衍射", "en": "powder diffraction"}]
    another(db, name="SmartLab", tags=[{"zh": "薄膜", "en": "thin films"}, {"zh": "粉末衍射", "en": "powder diffraction"}])
    assert planned(db, machine).step is Step.MOVE


def test_its_own_houses_uses_stay_at_home(db: Session, machine: Resource, booking: Booking) -> None:
    another(db)
    booking.organisation_id = None
    assert planned(db, machine).step is Step.CANCEL


def test_other_terms_are_no_way_out(db: Session, machine: Resource, booking: Booking) -> None:
    there = another(db)
    strict = {"cancel_tiers": [{"hours": "0", "rate": "1"}]}
    set_policy(db, resource_id=there.id, policy=strict, actor_id="per_1", now=NOW)
    assert planned(db, machine).step is Step.CANCEL


def test_what_nobody_has_paid_yet_ends(db: Session, machine: Resource, booking: Booking) -> None:
    another(db)
    booking.state = BookingState.HELD
    assert planned(db, machine).step is Step.CANCEL


def test_who_does_not_decide_on_bookings_sends_none_away(db: Session, machine: Resource, booking: Booking) -> None:
    there = another(db)
    assert planned(db, machine, Role.TECHNICIAN).step is Step.CANCEL
    with pytest.raises(NotAllowed):
        enter(db, machine, [Proposal(booking, Step.MOVE, resource_id=there.id)], Role.TECHNICIAN)


def test_a_line_goes_to_no_single_machine(db: Session, machine: Resource, booking: Booking) -> None:
    a_resource(db, institution=db.get_one(Institution, machine.institution_id), parent_id=machine.id, price_minor=90000)
    another(db)
    assert planned(db, machine).step is Step.CANCEL


def test_many_that_would_have_to_ask_hide_none_that_need_not(db: Session, machine: Resource, booking: Booking) -> None:
    for _ in range(21):
        another(db, rules={"approval": Approval.REQUEST}, price_minor=25000)
    there = another(db)
    assert planned(db, machine).resource_id == there.id


def test_two_that_meet_one_quota_there_do_not_both_go(db: Session, machine: Resource, firm: Actor, booking: Booking) -> None:
    another(db, rules={"quotas": [{"limit": 1, "unit": "count", "per": "day", "by": "organisation"}]})
    booked(db, firm, machine, hours(12, 13))
    plan = propose(db, actor=staff(machine), resource_id=machine.id, slot=CLOSED, now=NOW)
    assert [one.step for one in plan] == [Step.MOVE, Step.CANCEL]
    enter(db, machine, plan)


def test_a_plan_for_a_booking_that_has_moved_since_is_stale(committed_db: sessionmaker[Session], database: str) -> None:
    if database == "sqlite":
        pytest.skip("whoever plans there has the one write lock")
    postgres = committed_db
    with postgres.begin() as session:
        machine = a_resource(session, name="粉末衍射仪", name_en=None, rules=NEAR)
        another(session)
        house = an_organisation(session)
        person = a_member(session, Role.MEMBER, organisation=house)
        firm = Actor(person.id, grants=frozenset({Grant(Role.MEMBER, organisation_id=house.id)}))
        booking_id = booked(session, firm, machine, hours(9, 11)).id
        machine_id = machine.id
    with postgres() as session:
        machine = session.get_one(Resource, machine_id)
        plan = [planned(session, machine)]
        with postgres.begin() as other:
            checkout.move(other, actor=firm, booking_id=booking_id, slot=hours(14, 16), version=1, now=NOW)
        with pytest.raises(Stale):
            enter(session, machine, plan)
    with postgres() as session:
        assert session.get_one(Booking, booking_id).state is BookingState.CONFIRMED


def test_why_the_other_house_does_not_take_it_is_not_told_and_no_demand_is_noted(
    db: Session, machine: Resource, firm: Actor, booking: Booking
) -> None:
    there = another(db)
    booked(db, firm, there, booking.slot)
    with pytest.raises(Invalid) as refused:
        enter(db, machine, [Proposal(booking, Step.MOVE, resource_id=there.id)])
    assert refused.value.values["reason"] == "does not take this booking"


@pytest.mark.parametrize(
    "other",
    [
        {"price_minor": 30001},
        {"house": {"settlement": Settlement.PLATFORM_COLLECTS}},
        {"name": "会议室", "chain": "biomedicine"},
        {"timezone": "America/New_York"},
    ],
)
def test_nobody_is_sent_where_it_costs_more_takes_a_card_or_is_something_else(
    db: Session, machine: Resource, booking: Booking, other: dict[str, Any]
) -> None:
    there = another(db, **other)
    with pytest.raises(Invalid) as refused:
        enter(db, machine, [Proposal(booking, Step.MOVE, resource_id=there.id)])
    assert refused.value.values["field"] == "plan.0.resource_id"


def test_a_request_there_may_be_chosen_and_its_institution_decides(db: Session, machine: Resource, booking: Booking) -> None:
    there = another(db, rules={"approval": Approval.REQUEST})
    manager = a_member(db, Role.MANAGER, institution=db.get_one(Institution, there.institution_id))
    enter(db, machine, [Proposal(booking, Step.MOVE, resource_id=there.id)])
    made = db.scalars(select(Booking).where(Booking.resource_id == there.id)).one()
    assert made.state is BookingState.REQUESTED
    asked = db.scalars(select(Message).where(Message.person_id == manager.id)).one()
    assert (asked.kind, asked.data.get("instead_of")) == ("request_to_decide", None)
