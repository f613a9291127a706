"""Those entitled set a publisher's own rules aside, never taken time or the past, and it is on record."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from booking import actions
from booking.actions import CancelledBy
from booking.admission import SlotRefused, Wish
from booking.rules.actions import Further, RuleSet, set_rules
from booking.series.actions import SeriesRefused, book_series
from booking.series.edits import Change, Edited, Editor, edit_series
from booking.states import BookingState
from booking.tables import Booking, Category, OnConflict
from marketplace.slot import Slot
from marketplace.tables import AuditEntry, ListingState, Person, Resource
from tests.builders import a_person, a_resource, an_organisation

NOW = datetime(2026, 3, 9, 1, tzinfo=UTC)
DAY = datetime(2026, 3, 10, tzinfo=UTC)
STRICT = RuleSet(hours=[{"weekday": 6, "open_min": 0, "close_min": 60}], step_min=60, min_min=120, notice_min=60 * 24 * 9)
FURTHER = Further(audience=[{"group": "academic"}], quotas=[{"limit": 1, "unit": "hours", "per": "day", "by": "person"}])
DAILY = "FREQ=DAILY;COUNT=4"
BROKEN = ["too_short", "off_step", "too_soon", "outside_hours", "not_in_audience", "over_quota_hours"]


def hours(start: float, end: float) -> Slot:
    return Slot(DAY + timedelta(hours=start), DAY + timedelta(hours=end))


def strict(db: Session, **values: Any) -> Resource:
    resource = a_resource(db, **values)
    set_rules(db, resource_id=resource.id, rules=STRICT, further=FURTHER, actor_id=None, now=NOW)
    return resource


def wanted(db: Session, resource: Resource, slot: Slot, override: str | None, who: Person | None = None) -> Wish:
    firm = an_organisation(db)
    return Wish(resource.id, slot, (who or a_person(db)).id, firm.id, Category.EXT, override=override)


def records(db: Session, booking_id: str) -> list[AuditEntry]:
    found = select(AuditEntry).where(AuditEntry.object_id == booking_id, AuditEntry.action == "override_rules")
    return list(db.scalars(found.order_by(AuditEntry.at, AuditEntry.id)))


def codes(db: Session, wish: Wish, now: datetime = NOW) -> list[str]:
    with pytest.raises(SlotRefused) as caught:
        actions.book(db, wish=wish, now=now)
    return [reason.code for reason in caught.value.reasons]


def test_every_rule_of_the_publisher_is_set_aside_with_the_reason_on_record(db: Session) -> None:
    resource = strict(db)
    slot = hours(2.25, 3.75)
    assert codes(db, wanted(db, resource, slot, None)) == BROKEN
    wish = wanted(db, resource, slot, "repair of a customer's batch")
    booking = actions.book(db, wish=wish, now=NOW)
    assert booking.state is BookingState.CONFIRMED
    (entry,) = records(db, booking.id)
    assert entry.after == {"reason": "repair of a customer's batch", "codes": BROKEN}
    assert (entry.actor_id, entry.institution_id) == (wish.person_id, resource.institution_id)


def test_taken_time_the_past_and_what_is_not_there_stay_refused(db: Session) -> None:
    resource = strict(db)
    actions.book(db, wish=wanted(db, resource, hours(2, 4), "calibration"), now=NOW)
    assert codes(db, wanted(db, resource, hours(3, 5), "calibration")) == ["slot_taken"]
    assert codes(db, wanted(db, resource, hours(6, 7), "calibration"), now=DAY + timedelta(hours=7)) == ["starts_in_past"]
    paused = strict(db, state=ListingState.PAUSED)
    assert codes(db, wanted(db, paused, hours(6, 7), "calibration")) == ["not_bookable"]


def test_whole_minutes_a_year_and_a_few_years_ahead_hold_for_everybody(db: Session) -> None:
    resource, half_a_second, year = a_resource(db), timedelta(milliseconds=500), timedelta(days=366)
    minute = timedelta(minutes=1)
    far = Slot(NOW + 5 * year - timedelta(hours=1), NOW + 5 * year)
    refused = {
        Slot(DAY, DAY + timedelta(hours=1) + half_a_second): ["off_step"],
        Slot(DAY + half_a_second, DAY + timedelta(hours=1) + half_a_second): ["off_step"],
        Slot(DAY, DAY + half_a_second): ["too_short", "off_step"],
        Slot(DAY, DAY + year + minute): ["too_long"],
        far.shift(minute): ["beyond_horizon"],
    }
    for slot, reasons in refused.items():
        assert codes(db, wanted(db, resource, slot, "calibration")) == reasons
    with pytest.raises(SlotRefused) as caught:
        actions.book(db, wish=wanted(db, resource, far.shift(minute), "calibration"), now=NOW)
    assert [(one.values, one.override_by) for one in caught.value.reasons] == [({"horizon_days": 1830}, ())]
    assert codes(db, wanted(db, resource, Slot(DAY, DAY + half_a_second), None)) == ["too_short", "off_step"]
    for slot in (Slot(DAY, DAY + year), far):
        assert actions.book(db, wish=wanted(db, resource, slot, "calibration"), now=NOW).slot == slot


def test_a_move_sets_rules_aside_too_and_nothing_is_on_record_where_none_is_broken(db: Session) -> None:
    resource, manager = a_resource(db), a_person(db)
    booking = actions.book(db, wish=wanted(db, resource, hours(2, 4), "not needed"), now=NOW)
    assert records(db, booking.id) == []
    set_rules(db, resource_id=resource.id, rules=STRICT, actor_id=None, now=NOW)
    with pytest.raises(SlotRefused):
        actions.move(db, booking_id=booking.id, slot=hours(5, 6), version=1, actor_id=manager.id, now=NOW)
    actions.move(db, booking_id=booking.id, slot=hours(5, 6), version=1, actor_id=manager.id, override="shift swap", now=NOW)
    (entry,) = records(db, booking.id)
    assert entry.after == {"reason": "shift swap", "codes": ["too_short", "too_soon", "outside_hours"]}
    assert entry.actor_id == manager.id


def test_a_series_sets_rules_aside_and_each_booking_tells_which(db: Session) -> None:
    resource = a_resource(db)
    set_rules(db, resource_id=resource.id, rules=STRICT, actor_id=None, now=NOW)
    wish = wanted(db, resource, hours(2, 3), None)
    with pytest.raises(SeriesRefused) as caught:
        book_series(db, wish=wish, rrule=DAILY, on_conflict=OnConflict.REFUSE, now=NOW)
    assert {reason.override_by for reason in caught.value.reasons} == {("manager", "operator")}
    actions.book(db, wish=wanted(db, resource, hours(26, 28), "calibration"), now=NOW)
    meant = replace(wish, override="a customer's batch")
    with pytest.raises(SeriesRefused) as caught:
        book_series(db, wish=meant, rrule=DAILY, on_conflict=OnConflict.REFUSE, now=NOW)
    assert [reason.code for reason in caught.value.reasons] == ["slot_taken"], "taken time stays refused"
    made = book_series(db, wish=meant, rrule=DAILY, on_conflict=OnConflict.SKIP, now=NOW)
    assert [gap.slot for gap in made.gaps] == [hours(26, 27)]
    told = [records(db, one.id)[0] for one in made.bookings]
    assert [one.after for one in told] == [
        {"reason": "a customer's batch", "codes": ["too_short", "too_soon", "outside_hours"]}
    ] * 3
    assert {one.actor_id for one in told} == {wish.person_id}


def test_edits_of_a_series_set_rules_aside_for_all_or_for_this_and_the_following(db: Session) -> None:
    resource, manager = a_resource(db), a_person(db)
    made = book_series(db, wish=wanted(db, resource, hours(2, 4), None), rrule=DAILY, on_conflict=OnConflict.REFUSE, now=NOW)
    set_rules(db, resource_id=resource.id, rules=RuleSet(min_min=120), actor_id=None, now=NOW)
    editor = Editor(manager.id, {one.id for one in made.bookings}, CancelledBy.PROVIDER)

    def edit(since: Booking | None, slot: Slot, why: str | None) -> Edited:
        db.refresh(made.series)
        change = Change(since.id if since else None, slot, None, OnConflict.REFUSE, why)
        return edit_series(db, series_id=made.series.id, version=made.series.version, change=change, editor=editor, now=NOW)

    with pytest.raises(SeriesRefused), db.begin_nested():
        edit(None, hours(5, 6), None)
    edit(None, hours(5, 6), "shift swap")
    first, *_, last = made.bookings
    assert [one.slot for one in made.bookings] == [hours(5 + 24 * n, 6 + 24 * n) for n in range(4)]
    later = edit(last, hours(80, 81), "holiday")
    assert [one.id for one in later.moved] == [last.id]
    assert [one.after["reason"] for one in records(db, first.id)] == ["shift swap"]
    assert [one.after for one in records(db, last.id)] == [
        {"reason": why, "codes": ["too_short"]} for why in ("shift swap", "holiday")
    ]
    assert {one.actor_id for one in records(db, last.id)} == {manager.id}
