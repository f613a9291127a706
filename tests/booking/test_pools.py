"""A pooled resource counts: what fits at every instant is granted, whichever units others hold, and the guard stays in force."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session, sessionmaker

from booking import actions, queries
from booking.actions import CancelledBy
from booking.admission import SlotRefused, Wish
from booking.outages.actions import record_outage
from booking.pooling import Held, arranged
from booking.rules.actions import Further, RuleSet, set_rules
from booking.series.actions import book_series
from booking.tables import Booking, Category, OnConflict
from marketplace.refusals import Invalid
from marketplace.slot import Slot
from marketplace.tables import Resource
from tests.builders import a_person, a_resource, an_organisation
from web.running import audit

NOW = datetime(2026, 3, 9, 1, tzinfo=UTC)
DAY = datetime(2026, 3, 10, tzinfo=UTC)


def hours(start: float, end: float) -> Slot:
    return Slot(DAY + timedelta(hours=start), DAY + timedelta(hours=end))


def a_pool(db: Session, capacity: int, **rules: int) -> Resource:
    resource = a_resource(db, capacity=capacity)
    set_rules(db, resource_id=resource.id, rules=RuleSet(**rules), further=Further(pooled=True), actor_id=None, now=NOW)
    return resource


def booked(db: Session, resource: Resource, slot: Slot, quantity: int = 1) -> Booking:
    wish = Wish(resource.id, slot, a_person(db).id, an_organisation(db).id, Category.EXT, quantity)
    return actions.book(db, wish=wish, now=NOW)


SPANS = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 6)), max_size=12)


@given(SPANS)
def test_as_many_units_suffice_as_claims_overlap_at_once(spans: list[tuple[int, int]]) -> None:
    claims = [Held(f"{n}", n % 3, hours(start, start + length)) for n, (start, length) in enumerate(spans)]
    peak = max((sum(one.slot.start <= at.slot.start < one.slot.end for one in claims) for at in claims), default=1)
    found = arranged(claims, peak)
    assert found is not None
    for one in claims:
        for other in claims:
            assert one is other or not one.slot.overlaps(other.slot) or found[one.id] != found[other.id]
    if claims:
        assert arranged(claims, peak - 1) is None


def test_units_that_are_free_one_after_another_are_one_free_stretch(db: Session) -> None:
    pool, places = a_pool(db, 2), a_resource(db, capacity=2)
    for resource in (pool, places):
        first = booked(db, resource, hours(0, 1))
        booked(db, resource, hours(0.5, 2))
        actions.cancel(db, booking_id=first.id, by=CancelledBy.CUSTOMER, actor_id="per_1", now=NOW)
        booked(db, resource, hours(2, 3))
    assert queries.free_time(db, pool.id, within=hours(0, 4), now=NOW) == [hours(0, 4)]
    booked(db, pool, hours(0, 4))
    with pytest.raises(SlotRefused):
        booked(db, places, hours(0, 4))
    with pytest.raises(SlotRefused) as refused:
        booked(db, pool, hours(2.5, 4))
    assert refused.value.conflicts == (hours(2.5, 3),)
    assert audit(db) == []


def test_the_worked_case_of_three_units(db: Session) -> None:
    pool = a_pool(db, 3)
    for start, end in ((10, 11), (11, 12), (9.5, 11)):
        booked(db, pool, hours(start, end))
    booked(db, pool, hours(9, 12))
    with pytest.raises(SlotRefused):
        booked(db, pool, hours(10, 10.5))
    assert audit(db) == []


def test_series_outages_and_moves_count_too(db: Session) -> None:
    pool = a_pool(db, 2)
    wish = Wish(pool.id, hours(9, 12), a_person(db).id, an_organisation(db).id, Category.EXT)
    booked(db, pool, hours(33, 34))
    moving = booked(db, pool, hours(34, 36))
    made = book_series(db, wish=wish, rrule="FREQ=DAILY;COUNT=3", on_conflict=OnConflict.REFUSE, now=NOW)
    assert len(made.bookings) == 3
    actions.move(db, booking_id=moving.id, slot=hours(32, 33), version=1, actor_id="per_1", now=NOW)
    booked(db, pool, hours(34, 36))
    record_outage(db, resource_id=pool.id, slot=hours(8, 14), planned=True, reason="x", actor_id="per_1", now=NOW)
    with pytest.raises(SlotRefused):
        booked(db, pool, hours(10, 11))
    assert audit(db) == []


def test_buffers_that_depend_on_the_unit_do_not_go_with_it(db: Session) -> None:
    pool = a_pool(db, 2)
    further = Further(pooled=True, waive_own_buffers=True)
    with pytest.raises(Invalid):
        set_rules(db, resource_id=pool.id, rules=RuleSet(), further=further, actor_id=None, now=NOW)


STEPS = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 8), st.integers(1, 3), st.booleans()), min_size=1, max_size=14)


@pytest.mark.laws
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_what_is_listed_is_granted_and_what_is_refused_was_not_listed(
    db: Session, steps: list[tuple[int, int, int, bool]]
) -> None:
    pool, made = a_pool(db, 3, setup_min=15, cleaning_min=30), []
    for start, length, quantity, cancels in steps:
        slot = hours(start / 2, (start + length) / 2)
        if cancels and made:
            actions.cancel(db, booking_id=made.pop(0).id, by=CancelledBy.CUSTOMER, actor_id="per_1", now=NOW)
        free = queries.free_time(db, pool.id, within=slot, now=NOW, quantity=quantity)
        listed = any(span.contains(slot) for span in free)
        try:
            made.append(booked(db, pool, slot, quantity))
        except SlotRefused:
            assert not listed
        else:
            assert listed
    assert audit(db) == []


def test_many_at_once_are_granted_up_to_the_count(committed_db: sessionmaker[Session]) -> None:
    with committed_db.begin() as session:
        pool = a_pool(session, 3).id
        who, firm = a_person(session).id, an_organisation(session).id
    granted: list[Slot] = []
    gate = threading.Barrier(8)

    def ask(slot: Slot) -> None:
        gate.wait()
        try:
            with committed_db.begin() as session:
                actions.book(session, wish=Wish(pool, slot, who, firm, Category.EXT), now=NOW)
            granted.append(slot)
        except SlotRefused:
            pass

    slots = [hours(2, 3), hours(3, 4), hours(2.5, 3.5), hours(2, 4)] * 2
    threads = [threading.Thread(target=ask, args=(slot,)) for slot in slots]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(granted) >= 3
    for at in (2, 2.5, 3, 3.5):
        assert sum(slot.contains(hours(at, at + 0.5)) for slot in granted) <= 3
    with committed_db() as session:
        assert audit(session) == []
