"""Busy time kept elsewhere: it claims what bookings leave, follows what its calendar says, and keeps the last good state."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from booking import actions as booking
from booking import queries as bookings
from booking.actions import CancelledBy
from booking.admission import SlotRefused, Wish
from booking.external import actions, invariants, queries
from booking.external.actions import Outcome, Source
from booking.external.fetching import Fetched, NotFetched, Seen
from booking.external.lines import Unreadable
from booking.external.tables import ExternalBusy, ExternalCalendar
from booking.lines import actions as lines
from booking.outages import actions as outages
from booking.rules.actions import RuleSet, set_rules
from booking.tables import Booking, Category, Claim
from marketplace.refusals import Invalid, NotFound
from marketplace.roles import Role
from marketplace.slot import Slot
from marketplace.tables import Institution, Message, Resource
from tests.builders import a_member, a_person, a_resource

NOW = datetime(2026, 3, 2, 1, tzinfo=UTC)
DAY = datetime(2026, 3, 10, tzinfo=UTC)
EVERY = timedelta(minutes=15)


def at(first: float, last: float) -> Slot:
    return Slot(DAY + timedelta(hours=first), DAY + timedelta(hours=last))


def file(*slots: Slot) -> bytes:
    events = [
        f"BEGIN:VEVENT\r\nUID:{number}\r\nDTSTART:{one.start:%Y%m%dT%H%M%SZ}\r\nDTEND:{one.end:%Y%m%dT%H%M%SZ}\r\nEND:VEVENT\r\n"
        for number, one in enumerate(slots)
    ]
    return ("BEGIN:VCALENDAR\r\n" + "".join(events) + "END:VCALENDAR\r\n").encode()


def connect(db: Session, place: Resource, *slots: Slot) -> ExternalCalendar:
    who = a_person(db).id
    return actions.connect(db, resource_id=place.id, name="别处的日历", source=Source(body=file(*slots)), actor_id=who, now=NOW)


def book(db: Session, place: Resource, slot: Slot) -> Booking:
    wish = Wish(place.id, slot, a_person(db).id, None, Category.SELF)
    return booking.book(db, wish=wish, now=NOW)


def busy(db: Session, place: Resource, kind: str = "external") -> list[Slot]:
    found = bookings.busy_time(db, place.id, within=at(-48, 96))
    return [one.slot for one in found if one.kind == kind]


def replace(db: Session, row: ExternalCalendar, *slots: Slot) -> None:
    actions.replace_file(db, calendar_id=row.id, body=file(*slots), actor_id=row.created_by, now=NOW)
    assert invariants.violations(db) == []


def test_busy_time_stands_in_the_way_and_says_nothing_of_itself(db: Session) -> None:
    place = a_resource(db, capacity=2)
    row = connect(db, place, at(9, 11))
    assert busy(db, place) == [at(9, 11)]
    assert (row.entries, row.error, row.read_at) == (1, None, NOW)
    with pytest.raises(SlotRefused) as refused:
        book(db, place, at(10, 12))
    assert [reason.code for reason in refused.value.reasons] == ["slot_taken"]
    assert refused.value.conflicts == (at(10, 11),)
    book(db, place, at(11, 12))
    assert at(9, 11) not in bookings.free_time(db, place.id, within=at(0, 24), now=NOW)


def test_a_booking_is_never_displaced_and_the_overlap_is_told(db: Session) -> None:
    place = a_resource(db)
    made = book(db, place, at(10, 11))
    row = connect(db, place, at(9, 12))
    assert busy(db, place) == [at(9, 10), at(11, 12)]
    found = queries.conflicts_of(db, place.id, after=NOW)
    assert [(one.booking.id, one.calendar_id, one.slot) for one in found] == [(made.id, row.id, at(10, 11))]
    booking.cancel(db, booking_id=made.id, by=CancelledBy.PROVIDER, actor_id=made.person_id, now=NOW)
    assert busy(db, place) == [at(9, 10), at(10, 11), at(11, 12)]
    assert queries.conflicts_of(db, place.id, after=NOW) == []
    assert invariants.violations(db) == []


def test_a_newer_file_changes_only_what_changed(db: Session) -> None:
    place = a_resource(db)
    row = connect(db, place, at(1, 2), at(3, 4), at(5, 6))
    kept = {one.slot: one.id for one in db.scalars(select(ExternalBusy))}
    replace(db, row, at(1, 2), at(3, 5))
    after = {one.slot: one.id for one in db.scalars(select(ExternalBusy))}
    assert set(after) == {at(1, 2), at(3, 5)}
    assert after[at(1, 2)] == kept[at(1, 2)]
    assert busy(db, place) == [at(1, 2), at(3, 5)]
    book(db, place, at(5, 6))
    replace(db, row)
    assert busy(db, place) == []


def test_time_that_one_calendar_frees_is_closed_by_another_and_by_an_outage(db: Session) -> None:
    place = a_resource(db)
    first, _ = connect(db, place, at(1, 6)), connect(db, place, at(2, 3))
    who = first.created_by
    outages.record_outage(db, resource_id=place.id, slot=at(4, 5), planned=True, reason="x", actor_id=who, now=NOW)
    assert busy(db, place) == [at(1, 6)]
    actions.disconnect(db, calendar_id=first.id, actor_id=who, now=NOW)
    assert (busy(db, place), busy(db, place, "outage")) == ([at(2, 3)], [at(4, 5)])
    assert invariants.violations(db) == []
    with pytest.raises(NotFound):
        queries.get_calendar(db, first.id)


def test_busy_time_of_a_station_comes_back_when_its_line_is_free_again(db: Session) -> None:
    line = a_resource(db)
    station = a_resource(db, parent_id=line.id)
    made = book(db, line, at(1, 3))
    connect(db, station, at(2, 4))
    outages.record_outage(db, resource_id=station.id, slot=at(0, 2), planned=True, reason="x", actor_id=made.person_id, now=NOW)
    assert [one.booking.id for one in queries.conflicts_of(db, station.id, after=NOW)] == [made.id]
    booking.cancel(db, booking_id=made.id, by=CancelledBy.PROVIDER, actor_id=made.person_id, now=NOW)
    assert busy(db, station) == [at(2, 3), at(3, 4)]
    assert busy(db, station, "outage") == [at(0, 1), at(1, 2)]
    with pytest.raises(SlotRefused):
        book(db, line, at(2, 3))


def test_more_units_are_closed_too(db: Session) -> None:
    place = a_resource(db)
    connect(db, place, at(2, 4))
    place.capacity = 3
    db.flush()
    lines.fit(db, resource_id=place.id, now=NOW)
    assert invariants.violations(db) == []
    assert {claim.unit for claim in db.scalars(select(Claim).where(Claim.active))} == {0, 1, 2}


def read_as(db: Session, row: ExternalCalendar, outcome: Outcome, now: datetime = NOW) -> None:
    actions.record(db, calendar_id=row.id, outcome=outcome, every=EVERY, now=now)


def by_address(db: Session, place: Resource) -> ExternalCalendar:
    source = Source(url="webcal://calendars.example.org/a.ics")
    return actions.connect(db, resource_id=place.id, name="x", source=source, actor_id=a_person(db).id, now=NOW)


def turn(db: Session, answer: Fetched | NotFetched, now: datetime) -> str | None:
    """One turn of the worker; the id of the calendar whose turn it was."""
    due = actions.claim_due(db, now=now)
    if due is None:
        return None
    outcome = actions.failed(answer) if isinstance(answer, NotFetched) else actions.understand(due, answer, now=now)
    actions.record(db, calendar_id=due.calendar_id, outcome=outcome, every=EVERY, now=now)
    return due.calendar_id


def test_an_address_is_read_now_and_again_later(db: Session) -> None:
    place = a_resource(db)
    row = by_address(db, place)
    assert row.url == "https://calendars.example.org/a.ics"
    assert turn(db, Fetched(file(at(1, 2)), Seen('"v1"', None)), NOW) == row.id
    assert (busy(db, place), row.etag, row.run_at) == ([at(1, 2)], '"v1"', NOW + EVERY)
    assert turn(db, Fetched(None, Seen()), NOW) is None
    later = NOW + EVERY
    assert turn(db, Fetched(None, Seen('"v1"', None)), later) == row.id
    assert (busy(db, place), row.read_at, row.etag) == ([at(1, 2)], later, '"v1"')


def test_what_goes_wrong_is_kept_and_the_last_good_state_stands(db: Session) -> None:
    place = a_resource(db)
    row = by_address(db, place)
    turn(db, Fetched(file(at(1, 2)), Seen()), NOW)
    waits: list[timedelta] = []
    now = NOW + EVERY
    wrong: Sequence[tuple[Fetched | NotFetched, str]] = [
        (NotFetched(reason="status", status=503), "status"),
        (Fetched(b"<html>", Seen()), "not_a_calendar"),
        (Fetched(file(at(5, 6))[:-16], Seen()), "cut_off"),
    ]
    for answer, error in wrong:
        assert turn(db, answer, now) == row.id
        assert (row.error, row.read_at, busy(db, place)) == (error, NOW, [at(1, 2)])
        waits.append(row.run_at - now)
        now = row.run_at
    assert waits == [EVERY, EVERY * 2, EVERY * 4]
    turn(db, Fetched(file(at(5, 6)), Seen()), now)
    assert (row.error, row.failures, busy(db, place)) == (None, 0, [at(5, 6)])


def test_a_calendar_is_read_by_one_worker_at_a_time(db: Session) -> None:
    by_address(db, a_resource(db))
    assert actions.claim_due(db, now=NOW) is not None
    assert actions.claim_due(db, now=NOW) is None
    assert actions.claim_due(db, now=NOW + actions.LEASE) is not None


def test_a_file_reaches_further_as_days_go_by(db: Session) -> None:
    place = a_resource(db)
    body = file(at(1, 2)).replace(b"END:VEVENT", b"RRULE:FREQ=MONTHLY\r\nEND:VEVENT")
    row = actions.connect(db, resource_id=place.id, name="x", source=Source(body=body), actor_id=a_person(db).id, now=NOW)
    first = len(queries.busy_of_calendar(db, row.id))
    later = NOW + timedelta(days=70)
    due = actions.claim_due(db, now=later)
    assert due is not None
    read_as(db, row, actions.understand(due, None, now=later), later)
    assert len(queries.busy_of_calendar(db, row.id)) == first + 2
    assert queries.count_busy(db, [row.id], after=later) == {row.id: first - 1}


def test_who_may_book_further_ahead_does_so_by_a_calendar_that_is_read_as_far(db: Session) -> None:
    place = a_resource(db, rules={"horizon_days": 700})
    far = Slot(NOW + timedelta(days=900), NOW + timedelta(days=900, hours=2))
    row = connect(db, place, far)
    assert queries.busy_of_calendar(db, row.id) == []
    set_rules(db, resource_id=place.id, rules=RuleSet(horizon_days=1000), actor_id=None, now=NOW)
    due = actions.claim_due(db, now=NOW)
    assert due is not None
    read_as(db, row, actions.understand(due, None, now=NOW), NOW)
    assert [one.slot for one in queries.busy_of_calendar(db, row.id)] == [far]


def test_what_cannot_be_read_or_is_too_much_is_refused_before_anything_is_kept(db: Session) -> None:
    place = a_resource(db, capacity=1000)
    many = [at(hour, hour + 0.5) for hour in range(60)]
    for body, reason in ((b"", "not_a_calendar"), (file(*many), "too_many")):
        with pytest.raises(Unreadable) as refused, db.begin_nested():
            actions.connect(db, resource_id=place.id, name="x", source=Source(body=body), actor_id=a_person(db).id, now=NOW)
        assert refused.value.values == {"reason": reason}
    assert busy(db, place) == []
    assert queries.calendars_of(db, place.id) == []


NO_ADDRESSES = ["", "calendar.ics", "ftp://example.org/a", "file:///etc/passwd", "https://", "https://a:b@example.org/"]


@pytest.mark.parametrize("url", [*NO_ADDRESSES, "https://x/" + "a" * 1000])
def test_an_address_that_is_none_is_refused(db: Session, url: str) -> None:
    with pytest.raises(Invalid):
        actions.connect(db, resource_id=a_resource(db).id, name="x", source=Source(url=url), actor_id=a_person(db).id, now=NOW)


def test_a_machine_has_ten_calendars_at_most(db: Session) -> None:
    place = a_resource(db)
    for _ in range(10):
        connect(db, place)
    with pytest.raises(Invalid):
        connect(db, place)


def told(db: Session, kind: str) -> list[tuple[str, int | None]]:
    db.flush()
    rows = db.scalars(select(Message).where(Message.kind == kind).order_by(Message.created_at, Message.id)).all()
    return [(row.person_id, row.data.get("count")) for row in rows]


def test_managers_hear_once_of_a_calendar_that_goes_on_failing(db: Session) -> None:
    place = a_resource(db)
    house = db.get_one(Institution, place.institution_id)
    manager, technician = (a_member(db, role, institution=house).id for role in (Role.MANAGER, Role.TECHNICIAN))
    row, bad = connect(db, place, at(9, 11)), Outcome(error="unreachable")
    read = Outcome(actions.read(file(at(9, 11)), zone=ZoneInfo("Asia/Shanghai"), within=actions.window(actions.AHEAD, NOW)))
    for hour, outcome in enumerate((bad, bad, read, bad, bad, bad, bad, bad)):
        assert told(db, "calendar_failing") == ([] if hour < 6 else [(manager, None)])
        actions.record(db, calendar_id=row.id, outcome=outcome, every=EVERY, now=NOW + timedelta(hours=hour))
    for hour, outcome in enumerate((read, bad, bad, bad, bad), 10):
        actions.record(db, calendar_id=row.id, outcome=outcome, every=EVERY, now=NOW + timedelta(hours=hour))
    assert told(db, "calendar_failing") == [(manager, None), (manager, None)]
    assert db.scalars(select(Message).where(Message.person_id == technician)).all() == []


def test_managers_hear_once_of_bookings_that_a_calendar_comes_to_stand_against(db: Session) -> None:
    place = a_resource(db)
    manager = a_member(db, Role.MANAGER, institution=db.get_one(Institution, place.institution_id)).id
    for first in (10, 14, 20):
        book(db, place, at(first, first + 1))
    row = connect(db, place)
    for said, heard in (((at(9, 15),), [2]), ((at(9, 16),), [2]), ((at(9, 16), at(20, 22)), [2, 1]), ((at(20, 22),), [2, 1])):
        read = Outcome(actions.read(file(*said), zone=ZoneInfo("Asia/Shanghai"), within=actions.window(actions.AHEAD, NOW)))
        actions.record(db, calendar_id=row.id, outcome=read, every=EVERY, now=NOW)
        assert told(db, "calendar_conflicts") == [(manager, count) for count in heard]
