"""Several resources at once: every part is granted, or nothing is stored."""

import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from booking import actions
from booking.admission import Wish
from booking.bundles import shifts
from booking.bundles.actions import BundleRefused, book_bundle
from booking.rules.actions import Further, RuleSet, set_rules
from booking.tables import Booking, Category, Claim
from marketplace.slot import Slot
from marketplace.tables import Resource
from tests.builders import a_person, a_resource, an_organisation
from web.running import audit

NOW = datetime(2026, 3, 9, 1, tzinfo=UTC)
DAY = datetime(2026, 3, 10, tzinfo=UTC)


def hours(start: float, end: float) -> Slot:
    return Slot(DAY + timedelta(hours=start), DAY + timedelta(hours=end))


class Asks:
    """One customer that asks for bundles and single slots."""

    def __init__(self, db: Session) -> None:
        self.db, self.person, self.firm = db, a_person(db).id, an_organisation(db).id

    def wish(self, resource: Resource, slot: Slot, quantity: int = 1) -> Wish:
        return Wish(resource.id, slot, self.person, self.firm, Category.EXT, quantity)

    def bundle(self, *parts: tuple[Resource, Slot]) -> list[Booking]:
        wishes = [self.wish(resource, slot) for resource, slot in parts]
        return book_bundle(self.db, wishes=wishes, hold_until=[None] * len(wishes), now=NOW)

    def refusal(self, *parts: tuple[Resource, Slot]) -> BundleRefused:
        with pytest.raises(BundleRefused) as caught, self.db.begin_nested():
            self.bundle(*parts)
        return caught.value

    def alone(self, resource: Resource, slot: Slot) -> Booking:
        return actions.book(self.db, wish=self.wish(resource, slot), now=NOW)


@pytest.fixture
def ask(db: Session) -> Asks:
    return Asks(db)


def test_every_part_is_booked_under_one_name(db: Session, ask: Asks) -> None:
    coater, oven = a_resource(db), a_resource(db)
    made = ask.bundle((oven, hours(4, 8)), (coater, hours(2, 4)))
    assert [one.slot for one in made] == [hours(4, 8), hours(2, 4)]
    assert len({one.bundle_id for one in made}) == 1
    assert made[0].bundle_id
    assert audit(db) == []


def test_one_part_that_is_taken_leaves_nothing_and_all_reasons_name_their_part(db: Session, ask: Asks) -> None:
    coater, oven, diffractometer = a_resource(db), a_resource(db), a_resource(db)
    set_rules(db, resource_id=diffractometer.id, rules=RuleSet(max_min=60), actor_id=None, now=NOW)
    ask.alone(oven, hours(5, 6))
    refused = ask.refusal((coater, hours(2, 4)), (oven, hours(4, 8)), (diffractometer, hours(8, 10)))
    assert refused.code == "slot_taken"
    assert [(one.code, one.values["part"], one.values["resource_id"]) for one in refused.reasons] == [
        ("slot_taken", 1, oven.id),
        ("too_long", 2, diffractometer.id),
    ]
    assert refused.conflicts == (hours(5, 6),)
    assert refused.alternatives == ()
    assert db.scalar(select(func.count()).select_from(Booking)) == 1
    assert db.scalar(select(func.count()).where(Claim.active)) == 1


def test_the_ways_out_shift_all_parts_together(db: Session, ask: Asks) -> None:
    coater, oven = a_resource(db), a_resource(db)
    set_rules(db, resource_id=oven.id, rules=RuleSet(step_min=60), actor_id=None, now=NOW)
    ask.alone(oven, hours(5, 6))
    ask.alone(coater, hours(4, 5))
    refused = ask.refusal((coater, hours(2, 4)), (oven, hours(4, 8)))
    assert refused.alternatives == (hours(5, 11), hours(-1, 5), hours(11, 17))
    for way in refused.alternatives:
        by = way.start - DAY - timedelta(hours=2)
        with db.begin_nested() as undone:
            ask.bundle((coater, hours(2, 4).shift(by)), (oven, hours(4, 8).shift(by)))
            undone.rollback()


def test_a_bundle_in_its_own_way_is_refused_without_ways_out(db: Session, ask: Asks) -> None:
    line = a_resource(db)
    station = a_resource(db, parent_id=line.id)
    for other in (line, station):
        refused = ask.refusal((line, hours(2, 4)), (other, hours(3, 5)))
        assert {one.values["part"] for one in refused.reasons} == {1}
        assert refused.alternatives == ()


def test_parts_of_one_resource_may_follow_each_other(db: Session, ask: Asks) -> None:
    oven = a_resource(db, capacity=2)
    assert len(ask.bundle((oven, hours(2, 3)), (oven, hours(3, 4)), (oven, hours(2, 4)))) == 3


def test_two_bundles_the_other_way_round_at_once_are_one_whole_and_none_half(committed_db: sessionmaker[Session]) -> None:
    with committed_db.begin() as session:
        customer = Asks(session)
        x, y = a_resource(session), a_resource(session)
        forth = [customer.wish(x, hours(2, 3)), customer.wish(y, hours(2, 3))]
    outcomes: list[str] = []
    gate = threading.Barrier(8)

    def ask_for(wishes: Sequence[Wish]) -> None:
        gate.wait()
        try:
            with committed_db.begin() as session:
                book_bundle(session, wishes=wishes, hold_until=[None, None], now=NOW)
            outcomes.append("whole")
        except BundleRefused as refused:
            outcomes.append(refused.code)

    threads = [threading.Thread(target=ask_for, args=(forth if turn % 2 else forth[::-1],)) for turn in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(outcomes) == ["slot_taken"] * 7 + ["whole"]
    with committed_db() as session:
        assert session.scalar(select(func.count()).select_from(Booking)) == 2
        assert audit(session) == []


HALVES = st.integers(-40, 40)
RANGES = st.lists(st.tuples(HALVES, HALVES).map(lambda pair: (min(pair), max(pair))), min_size=1, max_size=5)


@given(st.lists(RANGES, min_size=1, max_size=3), st.integers(1, 4))
def test_candidates_are_in_a_range_of_each_part_and_the_nearest_is_among_them(
    given_rooms: list[list[tuple[int, int]]], step: int
) -> None:
    half = timedelta(minutes=30)
    rooms = [[(low * half, high * half) for low, high in ranges] for ranges in given_rooms]
    found = shifts.candidates(shifts.common(rooms), step * half, 4 * half)
    fitting = [
        at
        for at in range(-40, 41)
        if at % step == 0 and all(any(low <= at <= high for low, high in ranges) for ranges in given_rooms)
    ]
    assert {at / half for at in found} <= set(fitting)
    assert bool(found) == bool(fitting)
    if fitting:
        assert abs(found[0]) / half == min(abs(at) for at in fitting)


def test_parts_that_meet_one_another_are_told_apart_from_what_others_have(db: Session, ask: Asks) -> None:
    oven = a_resource(db)
    refused = ask.refusal((oven, hours(2, 4)), (oven, hours(3, 5)))
    assert (refused.code, [one.code for one in refused.reasons], refused.conflicts) == ("bundle_refused", ["meets_itself"], ())
    ask.alone(oven, hours(4, 6))
    other = ask.refusal((oven, hours(2, 4)), (oven, hours(3, 5)))
    assert (other.code, [one.code for one in other.reasons]) == ("slot_taken", ["slot_taken"])


@pytest.mark.parametrize(
    ("quota", "parts"),
    [
        ({"limit": 3, "unit": "hours", "per": "week", "by": "organisation"}, [(2, 4), (26, 28)]),
        ({"limit": 1, "unit": "count", "per": "day", "by": "organisation"}, [(2, 4), (5, 7)]),
        ({"limit": 1, "unit": "count", "per": "month", "by": "person"}, [(2, 4), (26, 28)]),
    ],
)
def test_the_ways_out_count_the_parts_together(
    db: Session, ask: Asks, quota: dict[str, object], parts: list[tuple[int, int]]
) -> None:
    machine = a_resource(db)
    set_rules(db, resource_id=machine.id, rules=RuleSet(), further=Further(quotas=[quota]), actor_id=None, now=NOW)
    refused = ask.refusal(*((machine, hours(*part)) for part in parts))
    assert {reason.code for reason in refused.reasons} <= {"over_quota_hours", "over_quota_count"}
    whole = Slot(hours(*parts[0]).start, hours(*parts[-1]).end)
    for way in refused.alternatives:
        by = way.start - whole.start
        with db.begin_nested() as undone:
            ask.bundle(*((machine, hours(*part).shift(by)) for part in parts))
            undone.rollback()


def test_parts_for_which_only_others_leave_no_room_are_told_of_the_others(db: Session, ask: Asks) -> None:
    machine = a_resource(db, capacity=2)
    Asks(db).alone(machine, hours(2, 3))
    refused = ask.refusal((machine, hours(2, 3)), (machine, hours(2, 3)))
    assert [reason.code for reason in refused.reasons] == ["slot_taken"]
    assert refused.conflicts == (hours(2, 3),)
    for way in refused.alternatives:
        with db.begin_nested() as undone:
            assert len(ask.bundle((machine, way), (machine, way))) == 2
            undone.rollback()
    assert refused.alternatives
    three = ask.refusal(*[(machine, hours(5, 6))] * 3)
    assert [reason.code for reason in three.reasons] == ["meets_itself"]
