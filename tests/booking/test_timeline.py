"""What lies on many resources: claims once, requests by deadline, one's own by state, firm and time; a mark that changes."""

from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from booking import actions
from booking.admission import Wish
from booking.occupancy import Gap
from booking.states import BookingState
from booking.tables import Approval, Booking, Category
from booking.timeline.queries import Wanted, bookings_on, held_on, marks_of, own_bookings, waiting_requests
from marketplace.permissions import Actor, Grant
from marketplace.roles import Role
from marketplace.slot import Slot
from marketplace.tables import Resource
from tests.builders import a_person, a_resource, a_rule_version, an_institution, an_organisation

NOW = datetime(2026, 3, 9, 1, tzinfo=UTC)
DAY = datetime(2026, 3, 10, tzinfo=UTC)
WEEK = Slot(NOW, NOW + timedelta(days=7))


def hours(start: float, end: float) -> Slot:
    return Slot(DAY + timedelta(hours=start), DAY + timedelta(hours=end))


def booked(db: Session, place: Resource, slot: Slot, *, person: str = "", firm: str | None = None) -> Booking:
    who = person or a_person(db).id
    wish = Wish(place.id, slot, who, firm or an_organisation(db).id, Category.EXT)
    return actions.book(db, wish=wish, now=NOW)


def test_a_claim_of_two_lanes_is_one_stretch_each_and_a_stations_claim_names_its_line(db: Session) -> None:
    line = a_resource(db, rules={"setup_min": 30, "cleaning_min": 60, "buffer_mode": Gap.MAX})
    station = a_resource(db, parent_id=line.id)
    row = booked(db, line, hours(2, 4))
    held = {(one.resource_id, one.slot, one.kind, one.booking_id) for one in held_on(db, [line.id, station.id], within=WEEK)}
    stretches = (hours(1.5, 4), hours(2, 5))
    assert held == {(place.id, slot, "booking", row.id) for place in (line, station) for slot in stretches}
    assert [one.id for one in bookings_on(db, [line.id, station.id], within=WEEK, states={BookingState.CONFIRMED})] == [row.id]


def test_requests_come_with_the_soonest_deadline_first(db: Session) -> None:
    house = an_institution(db)
    slow = a_resource(db, institution=house, rules={"approval": Approval.REQUEST})
    quick = a_resource(db, institution=house, rules={"approval": Approval.REQUEST, "decide_within_h": 1})
    first = booked(db, slow, hours(0, 2))
    second = booked(db, quick, hours(100, 102))
    booked(db, a_resource(db, rules={"approval": Approval.REQUEST}), hours(0, 1))
    assert [row.id for row in waiting_requests(db, [house.id], limit=9)] == [second.id, first.id]


def test_ones_own_are_found_by_state_firm_and_time(db: Session) -> None:
    place, me = a_resource(db), a_person(db).id
    mine, theirs = an_organisation(db).id, an_organisation(db).id
    early = booked(db, place, hours(0, 2), person=me, firm=mine)
    late = booked(db, place, hours(30, 50), firm=mine)
    booked(db, place, hours(60, 61), firm=theirs)
    actor = Actor(me, grants=frozenset({Grant(Role.MEMBER, organisation_id=mine)}))
    actions.cancel(db, booking_id=early.id, by=actions.CancelledBy.CUSTOMER, actor_id=me, now=NOW)

    def found(**wanted: object) -> list[str]:
        return [row.id for row in own_bookings(db, actor, Wanted(**wanted))]  # type: ignore[arg-type]

    assert found() == [late.id, early.id]
    assert found(states=frozenset({BookingState.CANCELLED})) == [early.id]
    assert found(organisation_id=theirs) == []
    assert found(within=hours(40, 41)) == [late.id]
    assert [row.id for row in own_bookings(db, actor, Wanted(), after=late.id)] == [early.id]


def test_the_mark_changes_with_every_booking_move_answer_and_cancellation(db: Session) -> None:
    place, who = a_resource(db, rules={"approval": Approval.REQUEST}), a_person(db).id
    seen = [marks_of(db, [place.id])]
    row = booked(db, place, hours(0, 2))
    seen.append(marks_of(db, [place.id]))
    actions.move(db, booking_id=row.id, slot=hours(4, 6), version=row.version, actor_id=who, now=NOW)
    seen.append(marks_of(db, [place.id]))
    actions.approve(db, booking_id=row.id, actor_id=who, now=NOW)
    seen.append(marks_of(db, [place.id]))
    booked(db, place, hours(8, 9))
    seen.append(marks_of(db, [place.id]))
    actions.cancel(db, booking_id=row.id, by=actions.CancelledBy.PROVIDER, actor_id=who, now=NOW)
    seen.append(marks_of(db, [place.id]))
    assert len({str(mark) for mark in seen}) == len(seen)
    a_rule_version(db, place, number=2)
    assert marks_of(db, [place.id]) == seen[-1]
