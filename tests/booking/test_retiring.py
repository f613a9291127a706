"""A resource is retired once somebody has said what becomes of all that lies ahead of it."""

from collections.abc import Sequence
from datetime import date

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from billing.quotes.actions import quote_booking
from booking import actions
from booking.admission import Wish
from booking.outages.plans import Proposal, Step
from booking.series.actions import book_series
from booking.states import BookingState
from booking.tables import Booking, Category, Claim, OnConflict
from booking.waiting import actions as waiting
from booking.waiting import offers
from booking.waiting.line import WaitingState
from booking.waiting.tables import WaitingEntry
from marketplace.permissions import Actor, Grant
from marketplace.refusals import Refusal, WrongState
from marketplace.roles import Role
from marketplace.slot import Slot
from marketplace.tables import Institution, ListingState, Message, Resource
from tests.booking.asking import NOW, booked, hours
from tests.builders import a_member, a_resource, an_organisation
from web import retiring
from web.outages import propose
from web.retiring import LiesAhead, ahead_of, for_good
from web.running import audit


class Publisher:
    """The manager of a machine's house."""

    def __init__(self, db: Session) -> None:
        self.db, self.machine = db, a_resource(db)
        self.house = db.get_one(Institution, self.machine.institution_id)
        person = a_member(db, Role.MANAGER, institution=self.house)
        self.actor = Actor(person.id, grants=frozenset({Grant(Role.MANAGER, institution_id=self.house.id)}))

    def books(self, slot: Slot, machine: Resource | None = None) -> Booking:
        row = booked(self.db, machine or self.machine, slot)
        quote_booking(self.db, booking=row, organisation=None, payment_method=None, now=NOW)
        return row

    def waits(self, slot: Slot) -> WaitingEntry:
        firm = an_organisation(self.db)
        who = a_member(self.db, Role.MEMBER, organisation=firm)
        wish = Wish(self.machine.id, slot, who.id, firm.id, Category.EXT)
        return waiting.join(self.db, wish=wish, length=None, now=NOW)

    def retires(self, plan: Sequence[Proposal] | None = None, machine: Resource | None = None) -> Resource:
        resource = (machine or self.machine).id
        with self.db.begin_nested():
            return retiring.retire(self.db, actor=self.actor, resource_id=resource, plan=plan, now=NOW)

    def plan(self, step: Step) -> list[Proposal]:
        return [Proposal(row, step) for row in ahead_of(self.db, self.machine.id, NOW).bookings]


@pytest.fixture
def house(db: Session) -> Publisher:
    return Publisher(db)


def test_what_nobody_counts_on_is_retired_at_once(db: Session, house: Publisher) -> None:
    past = house.books(hours(1, 2))
    actions.cancel(db, booking_id=past.id, by=actions.CancelledBy.CUSTOMER, actor_id=past.person_id, now=NOW)
    row = house.retires()
    assert (row.state, row.decommissioned_on) == (ListingState.RETIRED, date(2026, 3, 9))
    assert audit(db) == []
    with pytest.raises(WrongState):
        house.retires()


def test_all_that_lies_ahead_is_counted_and_nothing_is_done_before_somebody_decides(db: Session, house: Publisher) -> None:
    stands, asked = house.books(hours(1, 2)), house.books(hours(3, 4))
    asked.state = BookingState.REQUESTED
    firm = an_organisation(db)
    wish = Wish(house.machine.id, hours(30, 31), a_member(db, Role.MEMBER, organisation=firm).id, firm.id, Category.EXT)
    book_series(db, wish=wish, rrule="FREQ=WEEKLY;COUNT=3", on_conflict=OnConflict.REFUSE, now=NOW)
    house.waits(hours(1, 2))
    offered = house.waits(hours(3, 4))
    actions.refuse(db, booking_id=asked.id, actor_id="per_1", now=NOW)
    offers.offer_freed(db, resource_id=house.machine.id, freed=hours(3, 4), now=NOW)
    assert offered.state is WaitingState.OFFERED
    late = house.books(hours(5, 6))
    late.state = BookingState.REQUESTED
    db.flush()
    with pytest.raises(LiesAhead) as caught:
        house.retires()
    assert dict(caught.value.values) == {"bookings": 4, "requests": 1, "series": 1, "offers": 1, "waiting": 1}
    assert house.machine.state is ListingState.PUBLISHED
    assert (stands.state, offered.state) == (BookingState.CONFIRMED, WaitingState.OFFERED)
    assert audit(db) == []


def test_what_is_kept_runs_to_its_end_and_the_machine_serves_as_long(db: Session, house: Publisher) -> None:
    first, last = house.books(hours(1, 2)), house.books(hours(49, 51))
    row = house.retires(house.plan(Step.KEEP))
    assert [one.state for one in (first, last)] == [BookingState.CONFIRMED] * 2
    assert row.decommissioned_on == date(2026, 3, 13)
    assert len(db.scalars(select(Claim).where(Claim.active)).all()) == 2
    with pytest.raises(Refusal) as refused:
        house.books(hours(10, 11))
    assert "not_bookable" in refused.value.values["reasons"]
    assert audit(db) == []


def test_what_ends_costs_nothing_and_a_series_is_told_once(db: Session, house: Publisher) -> None:
    firm = an_organisation(db)
    person = a_member(db, Role.MEMBER, organisation=firm)
    wish = Wish(house.machine.id, hours(30, 31), person.id, firm.id, Category.EXT)
    series = book_series(db, wish=wish, rrule="FREQ=WEEKLY;COUNT=5", on_conflict=OnConflict.REFUSE, now=NOW).bookings
    alone = house.books(hours(1, 2))
    for row in series:
        quote_booking(db, booking=row, organisation=None, payment_method=None, now=NOW)
    row = house.retires(house.plan(Step.CANCEL))
    assert {one.state for one in (*series, alone)} == {BookingState.CANCELLED}
    assert all(one.cancelled_by_provider for one in series)
    assert row.decommissioned_on == date(2026, 3, 9)
    told = select(Message.kind).where(Message.kind.in_(["series_cancelled", "booking_cancelled"]))
    assert sorted(db.scalars(told)) == ["booking_cancelled", "series_cancelled"]
    [said] = db.scalars(select(Message.data).where(Message.kind == "series_cancelled"))
    assert said["closed"] is None  # for good: the letter says so
    assert audit(db) == []


def test_a_like_machine_takes_over_and_what_finds_none_ends(db: Session, house: Publisher) -> None:
    other = a_resource(db, institution=house.house)
    one, two = house.books(hours(1, 2)), house.books(hours(3, 4))
    house.books(hours(3, 4), other)
    plan = propose(db, actor=house.actor, resource_id=house.machine.id, slot=for_good(NOW), now=NOW)
    assert [each.step for each in plan] == [Step.MOVE, Step.CANCEL]
    house.retires(plan)
    assert (one.resource_id, one.slot, two.state) == (other.id, hours(1, 2), BookingState.CANCELLED)
    assert audit(db) == []


def test_the_line_ends_and_each_person_is_told_once(db: Session, house: Publisher) -> None:
    row = house.books(hours(1, 2))
    waits, offered = house.waits(hours(1, 2)), None
    second = house.books(hours(3, 4))
    offered = house.waits(hours(3, 4))
    offered.person_id = waits.person_id
    actions.cancel(db, booking_id=second.id, by=actions.CancelledBy.CUSTOMER, actor_id=second.person_id, now=NOW)
    offers.offer_freed(db, resource_id=house.machine.id, freed=hours(3, 4), now=NOW)
    house.retires([Proposal(row, Step.CANCEL)])
    db.flush()
    assert {waits.state, offered.state} == {WaitingState.OVER}
    assert waits.ended_at == NOW
    assert db.scalars(select(Claim).where(Claim.active)).all() == []
    told = select(Message.person_id).where(Message.kind == "waiting_closed")
    assert list(db.scalars(told)) == [waits.person_id]
    assert audit(db) == []


def test_a_decision_on_less_than_lies_ahead_is_no_decision(db: Session, house: Publisher) -> None:
    seen = [Proposal(house.books(hours(1, 2)), Step.CANCEL)]
    house.books(hours(3, 4))
    with pytest.raises(LiesAhead):
        house.retires(seen)
    assert seen[0].booking.state is BookingState.CONFIRMED
    waits = house.waits(hours(1, 2))
    with pytest.raises(LiesAhead):
        house.retires([])
    assert waits.state is WaitingState.WAITING


def test_a_booked_lines_station_is_asked_for_too(db: Session, house: Publisher) -> None:
    station = a_resource(db, institution=house.house, parent_id=house.machine.id)
    row = house.books(hours(1, 2))
    with pytest.raises(LiesAhead) as caught:
        house.retires(machine=station)
    assert caught.value.values["bookings"] == 1
    house.retires([Proposal(row, Step.KEEP)], station)
    assert (station.state, row.state) == (ListingState.RETIRED, BookingState.CONFIRMED)
    assert audit(db) == []
