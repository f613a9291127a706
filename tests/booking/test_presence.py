"""Check-in, and leaving before the time is up: the rest is free again, the bill keeps to what was quoted."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from booking import actions, queries
from booking.admission import SlotRefused, Wish
from booking.occupancy import Gap
from booking.presence.actions import ENDED_BY_OTHERS, check_in, finish
from booking.presence.queries import check_in_by
from booking.rules.actions import Further, RuleSet, set_rules
from booking.tables import Booking, Category
from marketplace.refusals import WrongState
from marketplace.slot import Slot
from marketplace.tables import AuditEntry, Message, Resource
from tests.builders import a_person, a_resource, an_organisation
from web.running import audit

START = datetime(2026, 3, 10, 2, tzinfo=UTC)
BEFORE = START - timedelta(days=1)


def minute(count: float) -> datetime:
    return START + timedelta(minutes=count)


def booked(db: Session, resource: Resource, start: float = 0, end: float = 120) -> Booking:
    wish = Wish(resource.id, Slot(minute(start), minute(end)), a_person(db).id, an_organisation(db).id, Category.EXT)
    return actions.book(db, wish=wish, now=BEFORE)


@pytest.fixture
def resource(db: Session) -> Resource:
    row = a_resource(db, capacity=2)
    set_rules(db, resource_id=row.id, rules=RuleSet(setup_min=15, cleaning_min=30), actor_id=None, now=BEFORE)
    return row


def test_one_is_there_from_half_an_hour_before_to_the_end_and_says_so_once(db: Session, resource: Resource) -> None:
    booking = booked(db, resource)
    for at in (-31, 120):
        with pytest.raises(WrongState):
            check_in(db, booking_id=booking.id, actor_id="per_1", now=minute(at))
    check_in(db, booking_id=booking.id, actor_id="per_1", now=minute(-30))
    check_in(db, booking_id=booking.id, actor_id="per_1", now=minute(119))
    assert booking.checked_in_at == minute(-30)
    assert db.scalars(select(AuditEntry.action).where(AuditEntry.object_id == booking.id)).all().count("check_in") == 1


def test_one_checks_in_as_long_after_the_start_as_the_rules_of_acceptance_say(db: Session, resource: Resource) -> None:
    further = Further(check_in_grace_min=20)
    set_rules(db, resource_id=resource.id, rules=RuleSet(), further=further, actor_id=None, now=BEFORE)
    booking, other, short = booked(db, resource), booked(db, resource), booked(db, resource, 180, 195)
    set_rules(db, resource_id=resource.id, rules=RuleSet(), further=Further(), actor_id=None, now=BEFORE)
    with pytest.raises(WrongState) as late:
        check_in(db, booking_id=booking.id, actor_id="per_1", now=minute(20))
    assert late.value.values["state"] == "late"
    check_in(db, booking_id=other.id, actor_id="per_1", now=minute(19.9))
    check_in(db, booking_id=other.id, actor_id="per_1", now=minute(60))
    assert (booking.checked_in_at, other.checked_in_at) == (None, minute(19.9))
    check_in(db, booking_id=short.id, actor_id="per_1", now=minute(194))
    assert check_in_by(db, short) is None


def test_who_booked_is_told_when_somebody_else_ends_it(db: Session, resource: Resource) -> None:
    mine, theirs = booked(db, resource), booked(db, resource)
    finish(db, booking_id=mine.id, actor_id=mine.person_id, now=minute(10))
    for now in (19.2, 19.8):
        finish(db, booking_id=theirs.id, actor_id="per_1", now=minute(now))
    (message,) = db.scalars(select(Message).where(Message.kind == ENDED_BY_OTHERS)).all()
    assert (message.person_id, message.data["end"]) == (theirs.person_id, minute(20).isoformat())
    assert message.data["was"]["end"] == minute(120).isoformat()


@pytest.mark.parametrize(("now", "end"), [(0, 1), (0.5, 1), (40, 40), (40.01, 41), (119.5, 120)])
def test_the_rest_is_free_after_the_cleaning(db: Session, resource: Resource, now: float, end: float) -> None:
    booking, other = booked(db, resource), booked(db, resource)
    finish(db, booking_id=booking.id, actor_id="per_1", now=minute(now))
    assert booking.slot == Slot(START, minute(end))
    free = queries.free_time(db, resource.id, within=Slot(START, minute(300)), now=BEFORE)
    assert free[0].start == minute(end + 30 + 15)
    assert other.slot == Slot(START, minute(120))
    assert audit(db) == []


def test_what_has_not_begun_is_over_or_is_ended_already_cannot_be_finished(db: Session, resource: Resource) -> None:
    booking = booked(db, resource)
    for at in (-1, 120):
        with pytest.raises(WrongState):
            finish(db, booking_id=booking.id, actor_id="per_1", now=minute(at))
    finish(db, booking_id=booking.id, actor_id="per_1", now=minute(30))
    with pytest.raises(WrongState):
        finish(db, booking_id=booking.id, actor_id="per_1", now=minute(31))


def test_the_stations_of_a_line_are_let_go_with_it(db: Session) -> None:
    line = a_resource(db)
    station = a_resource(db, parent_id=line.id)
    finish(db, booking_id=booked(db, line).id, actor_id="per_1", now=minute(30))
    booked(db, station, 30, 60)
    assert audit(db) == []


def test_what_was_moved_under_new_rules_is_finished_by_them(db: Session) -> None:
    place = a_resource(db)
    booking = booked(db, place, 60, 120)
    further_apart = RuleSet(setup_min=15, cleaning_min=30, buffer_mode=Gap.MAX)
    rules = set_rules(db, resource_id=place.id, rules=further_apart, actor_id=None, now=BEFORE)
    moved = actions.move(db, booking_id=booking.id, slot=Slot(minute(0), minute(120)), version=1, actor_id="per_1", now=BEFORE)
    assert moved.rules_id == rules.id
    finish(db, booking_id=booking.id, actor_id="per_1", now=minute(30))
    free = queries.free_time(db, place.id, within=Slot(START, minute(300)), now=BEFORE)
    assert free[0].start == minute(30 + 30)


def test_a_running_booking_is_extended_up_to_the_next_one(db: Session) -> None:
    resource = a_resource(db)
    set_rules(db, resource_id=resource.id, rules=RuleSet(notice_min=600, max_min=240), actor_id=None, now=BEFORE)
    booking = booked(db, resource)
    booked(db, resource, 200, 260)

    def extend(end: float, *, now: float = 60, start: float = 0) -> Booking:
        slot = Slot(minute(start), minute(end))
        return actions.move(db, booking_id=booking.id, slot=slot, version=booking.version, actor_id="per_1", now=minute(now))

    assert extend(180).slot == Slot(START, minute(180))
    with pytest.raises(SlotRefused) as refused:
        extend(250)
    assert {reason.code for reason in refused.value.reasons} == {"slot_taken", "too_long"}
    assert booking.slot == Slot(START, minute(180))
    for change in ({"end": 170}, {"end": 190, "start": 10}, {"end": 190, "now": 180}):
        with pytest.raises(WrongState):
            extend(**change)
    assert audit(db) == []


def test_who_has_finished_neither_comes_back_nor_finishes_again(db: Session, resource: Resource) -> None:
    """The price stays that of the time that was booked."""
    booking = booked(db, resource)
    finish(db, booking_id=booking.id, actor_id="per_1", now=minute(10.2))
    version = booking.version
    longer = Slot(booking.starts_at, minute(20))
    with pytest.raises(WrongState):
        actions.move(db, booking_id=booking.id, slot=longer, version=version, actor_id="per_1", now=minute(10.5))
    again = finish(db, booking_id=booking.id, actor_id="per_1", now=minute(10.7))
    assert (again.version, again.ends_at) == (version, minute(11))
    assert audit(db) == []
