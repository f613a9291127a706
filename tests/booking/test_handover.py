"""A booking goes to a colleague who may have it, and to nobody else."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from booking import actions
from booking.actions import CancelledBy
from booking.admission import Wish
from booking.handover.actions import NotAColleague, hand_over
from booking.qualifications.tables import Qualification, QualificationGrant
from booking.rules.actions import Further, RuleSet, set_rules
from booking.tables import Booking, Category
from marketplace.ids import new_id
from marketplace.refusals import Invalid, Refused, WrongState
from marketplace.roles import Role
from marketplace.tables import Institution, Message, Organisation, Resource
from tests.booking.test_series import NOW, at
from tests.builders import a_member, a_person, a_resource, an_organisation
from web.running import audit


class Firm:
    """A firm of two with a booking of the first."""

    def __init__(self, db: Session) -> None:
        self.db: Session = db
        self.firm: Organisation = an_organisation(db)
        self.holder, self.colleague = (a_member(db, Role.MEMBER, organisation=self.firm) for _ in range(2))
        self.resource: Resource = a_resource(db, timezone="Europe/Berlin")
        self.booking = self.book(self.holder.id)

    def book(self, person_id: str, day: str = "2027-03-15", firm: str | None = "theirs") -> Booking:
        organisation = self.firm.id if firm else None
        wish = Wish(self.resource.id, at(day), person_id, organisation, Category.EXT if firm else Category.SELF)
        return actions.book(self.db, wish=wish, now=NOW)

    def give(self, to: str | None, booking: Booking | None = None, now: datetime = NOW) -> Booking:
        chosen = booking or self.booking
        return hand_over(self.db, booking_id=chosen.id, to=to, actor_id=self.holder.id, now=now)


@pytest.fixture
def firm(db: Session) -> Firm:
    return Firm(db)


def test_the_booking_becomes_the_colleagues_and_both_are_told(db: Session, firm: Firm) -> None:
    slot = firm.booking.slot
    assert firm.give(firm.colleague.id).person_id == firm.colleague.id
    assert (firm.booking.version, firm.booking.slot) == (2, slot)
    told = db.execute(select(Message.person_id, Message.kind).where(Message.kind != "booking_confirmed")).all()
    assert {tuple(row) for row in told} == {
        (firm.holder.id, "booking_handed_over"),
        (firm.colleague.id, "booking_received"),
    }
    assert audit(db) == []


def test_a_stranger_and_nobody_are_told_apart_by_nothing(db: Session, firm: Firm) -> None:
    left = a_member(db, Role.MEMBER, organisation=firm.firm)
    left.disabled_at = NOW
    db.flush()
    for other in (
        None,
        "per_of_nobody",
        a_person(db).id,
        left.id,
        a_member(db, Role.MEMBER, organisation=an_organisation(db)).id,
    ):
        with pytest.raises(NotAColleague) as caught:
            firm.give(other)
        assert not caught.value.values
    with pytest.raises(Invalid):
        firm.give(firm.holder.id)


def test_a_quota_by_person_holds_for_who_takes_it_over(db: Session, firm: Firm) -> None:
    quotas = [
        {"limit": 1, "unit": "count", "per": "week", "by": "person"},
        {"limit": 2, "unit": "count", "per": "week", "by": "organisation"},
    ]
    firm.book(firm.colleague.id, "2027-03-16")
    set_rules(db, resource_id=firm.resource.id, rules=RuleSet(), further=Further(quotas=quotas), actor_id=None, now=NOW)
    with pytest.raises(Refused) as caught:
        firm.give(firm.colleague.id)
    assert [one.code for one in caught.value.reasons] == ["over_quota_count"]
    third = a_member(db, Role.MEMBER, organisation=firm.firm)
    assert firm.give(third.id).person_id == third.id


def test_who_is_not_meant_any_more_takes_nothing_over_and_notice_is_no_matter(db: Session, firm: Firm) -> None:
    late = firm.booking.starts_at + timedelta(minutes=5)
    set_rules(db, resource_id=firm.resource.id, rules=RuleSet(notice_min=1440, max_min=60), actor_id=None, now=NOW)
    assert firm.give(firm.colleague.id, now=late).person_id == firm.colleague.id
    only = Further(audience=[{"group": "academic"}])
    set_rules(db, resource_id=firm.resource.id, rules=RuleSet(), further=only, actor_id=None, now=NOW)
    with pytest.raises(Refused) as caught:
        firm.give(firm.holder.id)
    assert [one.code for one in caught.value.reasons] == ["not_in_audience"]


def test_who_takes_it_over_is_qualified(db: Session, firm: Firm) -> None:
    house = firm.resource.institution_id
    kind = Qualification(id=new_id("qlf"), institution_id=house, name="Laser", levels=[{"name": "Basic"}], created_at=NOW)
    db.add(kind)
    need = {"qualification_id": kind.id, "level": 1, "unless_assisted": False}
    db.flush()
    further = Further(qualifications=[need])
    set_rules(db, resource_id=firm.resource.id, rules=RuleSet(), further=further, actor_id=None, now=NOW)
    with pytest.raises(Refused) as refused:
        firm.give(firm.colleague.id)
    assert [one.code for one in refused.value.reasons] == ["qualification_missing"]
    held = {"qualification_id": kind.id, "person_id": firm.colleague.id, "level": 1, "granted_by": firm.holder.id}
    db.add(QualificationGrant(id=new_id("qgr"), granted_at=NOW, **held))
    db.flush()
    assert firm.give(firm.colleague.id).person_id == firm.colleague.id


def test_a_supervised_run_stays_whose_it_is_once_it_runs(db: Session, firm: Firm) -> None:
    firm.booking.assisted = True
    db.flush()
    with pytest.raises(WrongState):
        firm.give(firm.colleague.id, now=firm.booking.starts_at)
    assert firm.give(firm.colleague.id, now=firm.booking.starts_at - timedelta(seconds=1)).person_id == firm.colleague.id


def test_what_is_over_or_ended_stays_whose_it_was(firm: Firm) -> None:
    with pytest.raises(WrongState):
        firm.give(firm.colleague.id, now=firm.booking.ends_at)
    actions.cancel(firm.db, booking_id=firm.booking.id, by=CancelledBy.CUSTOMER, actor_id=firm.holder.id, now=NOW)
    with pytest.raises(WrongState):
        firm.give(firm.colleague.id)


def test_staff_hand_over_to_staff_of_the_house(db: Session, firm: Firm) -> None:
    house = db.get_one(Institution, firm.resource.institution_id)
    one, two = (a_member(db, Role.TECHNICIAN, institution=house) for _ in range(2))
    own = firm.book(one.id, "2027-03-17", firm=None)
    with pytest.raises(NotAColleague):
        firm.give(firm.colleague.id, own)
    assert firm.give(two.id, own).person_id == two.id
