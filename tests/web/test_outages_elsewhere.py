"""An outage's bookings that no machine of the house can take: they go to another institution, or end free of charge."""

from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from billing import queries as bills
from billing.actions import set_policy
from booking.outages.plans import Proposal, Step
from booking.states import BookingState
from booking.tables import Approval, Booking, Category
from marketplace.permissions import Actor, Grant
from marketplace.refusals import Invalid
from marketplace.roles import Role
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
def booking(db: Session, machine: Resource) -> Booking:
    firm = an_organisation(db)
    person = a_member(db, Role.MEMBER, organisation=firm)
    actor = Actor(person.id, grants=frozenset({Grant(Role.MEMBER, organisation_id=firm.id)}))
    order = checkout.Order(machine.id, hours(9, 11), purpose="相组成")
    made, _ = checkout.book(db, actor=actor, order=order, now=NOW, hold=hours(0, 1).duration)
    db.flush()
    return made


def another(db: Session, *, house: dict[str, Any] | None = None, rules: dict[str, Any] | None = None, **values: Any) -> Resource:
    """A like machine of another institution, cheaper by a third."""
    place = an_institution(db, name="成都分析测试中心", **(house or {}))
    return a_resource(
        db, institution=place, rules=rules, **{"name": "X射线粉末衍射仪", "name_en": None, "price_minor": 20000, **values}
    )


def enter(db: Session, machine: Resource, plan: list[Proposal]) -> None:
    manager = Actor("per_1", grants=frozenset({Grant(Role.MANAGER, institution_id=machine.institution_id)}))
    outage = PlannedOutage(CLOSED, planned=True, reason="检修")
    record_outage(db, actor=manager, resource_id=machine.id, outage=outage, plan=plan, now=NOW)
    db.flush()


def planned(db: Session, machine: Resource) -> Proposal:
    (found,) = propose(db, resource_id=machine.id, slot=CLOSED, now=NOW)
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


@pytest.mark.parametrize("other", [{"price_minor": 30001}, {"house": {"settlement": Settlement.PLATFORM_COLLECTS}}])
def test_nobody_is_sent_where_it_costs_more_or_takes_a_card(
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
    assert db.scalars(select(Message.kind).where(Message.person_id == manager.id)).all() == ["request_to_decide"]
