"""What was booked together moves as one: all by the same shift, by every rule of creation, or nothing."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from booking import actions
from booking.actions import CancelledBy
from booking.admission import Wish
from booking.bundles.actions import BundleRefused, book_bundle
from booking.bundles.moves import Moved, Mover, move_bundle, version_of
from booking.operators import actions as operators
from booking.outages.actions import record_outage
from booking.rules.actions import Further, RuleSet, set_rules
from booking.states import BookingState
from booking.tables import Approval, Booking, Category, Claim
from marketplace.refusals import Stale, WrongState
from marketplace.roles import Role
from marketplace.slot import Slot
from marketplace.tables import Institution, Message, Resource
from tests.booking.asking import NOW, booked, hours
from tests.builders import a_member, a_person, a_resource, an_organisation
from web.running import audit

HOUR = timedelta(hours=1)


class Firm:
    """One that books several at once and moves them."""

    def __init__(self, db: Session) -> None:
        self.db, self.person, self.organisation = db, a_person(db).id, an_organisation(db).id

    def wish(self, resource: Resource, slot: Slot, quantity: int = 1) -> Wish:
        return Wish(resource.id, slot, self.person, self.organisation, Category.EXT, quantity)

    def books(self, *wishes: Wish) -> list[Booking]:
        return book_bundle(self.db, wishes=wishes, hold_until=[None] * len(wishes), now=NOW)

    def moves(
        self, rows: Sequence[Booking], by: float, *, version: int | None = None, now: datetime = NOW, decides: Sequence[str] = ()
    ) -> Moved:
        at = version_of(rows) if version is None else version
        mover = Mover(self.person, decides)
        return move_bundle(self.db, bundle_id=str(rows[0].bundle_id), by=by * HOUR, version=at, mover=mover, now=now)


@pytest.fixture
def firm(db: Session) -> Firm:
    return Firm(db)


def slots(rows: Sequence[Booking]) -> list[Slot]:
    return [row.slot for row in rows]


def refused(firm: Firm, rows: Sequence[Booking], by: float, now: datetime = NOW) -> BundleRefused:
    before = slots(rows)
    with pytest.raises(BundleRefused) as caught:
        firm.moves(rows, by, now=now)
    assert slots(rows) == before
    assert audit(firm.db) == []
    return caught.value


def test_all_go_by_the_same_shift_and_may_have_what_another_of_them_had(db: Session, firm: Firm) -> None:
    coater, oven = a_resource(db), a_resource(db)
    rows = firm.books(firm.wish(coater, hours(2, 4)), firm.wish(coater, hours(4, 6)), firm.wish(oven, hours(6, 9)))
    made = firm.moves(rows, 2)
    assert slots(rows) == [hours(4, 6), hours(6, 8), hours(8, 11)]
    assert [row.version for row in rows] == [2, 2, 2]
    assert made.version == 6
    assert list(made.left) == [(coater.id, hours(2, 4)), (coater.id, hours(4, 6)), (oven.id, hours(6, 9))]
    assert [row.state for row in made.bookings] == [BookingState.CONFIRMED] * 3
    booked(db, coater, hours(2, 4))
    assert audit(db) == []


def test_one_part_that_cannot_go_keeps_all_and_shifts_of_all_are_the_ways_out(db: Session, firm: Firm) -> None:
    coater, oven = a_resource(db), a_resource(db)
    set_rules(db, resource_id=oven.id, rules=RuleSet(step_min=60), actor_id=None, now=NOW)
    rows = firm.books(firm.wish(coater, hours(2, 4)), firm.wish(oven, hours(4, 8)))
    booked(db, oven, hours(10, 11))
    told = refused(firm, rows, 4.5)
    assert told.code == "slot_taken"
    assert [(one.code, one.values["part"], one.values["resource_id"]) for one in told.reasons] == [
        ("off_step", 1, oven.id),
        ("slot_taken", 1, oven.id),
    ]
    assert told.conflicts == (hours(10, 11),)
    ways = refused(firm, rows, 5).alternatives
    assert ways
    for way in ways:
        with db.begin_nested() as undone:
            firm.moves(rows, (way.start - rows[0].starts_at) / HOUR)
            undone.rollback()


def test_it_is_moved_wherever_it_could_be_booked_anew_and_nowhere_else(db: Session, firm: Firm) -> None:
    line, oven = a_resource(db, capacity=2), a_resource(db)
    pump = a_resource(db, parent_id=line.id)
    quota = Further(quotas=[{"limit": 3, "unit": "hours", "per": "day", "by": "organisation"}])
    set_rules(db, resource_id=oven.id, rules=RuleSet(cleaning_min=30), further=quota, actor_id=None, now=NOW)
    booked(db, pump, hours(8, 9))
    booked(db, oven, hours(12, 13))
    actions.book(db, wish=firm.wish(oven, hours(26, 28)), now=NOW)
    wishes = [firm.wish(line, hours(2, 4), 2), firm.wish(oven, hours(4, 5)), firm.wish(oven, hours(5.5, 6.5))]
    verdicts = set()
    for by in (-3, -1, 0, 0.5, 1, 4, 5, 6, 8, 12, 20, 21, 48):
        with db.begin_nested() as undone:
            there = [firm.wish(_of(db, one), one.slot.shift(by * HOUR), one.quantity) for one in wishes]
            anew = _granted(lambda wishes=there: firm.books(*wishes))
            undone.rollback()
        with db.begin_nested() as undone:
            rows = firm.books(*wishes)
            moved = _granted(lambda rows=rows, by=by: firm.moves(rows, by))
            assert audit(db) == []
            undone.rollback()
        assert moved == anew, f"by {by} h: moved {moved}, booked anew {anew}"
        verdicts.add(moved)
    assert verdicts == {True, False}


def _of(db: Session, wish: Wish) -> Resource:
    return db.get_one(Resource, wish.resource_id)


def _granted(ask: object) -> bool:
    try:
        ask()  # type: ignore[operator]
    except BundleRefused:
        return False
    return True


def test_units_of_a_pool_and_an_operators_time_go_along(db: Session, firm: Firm) -> None:
    pool = a_resource(db, capacity=2)
    house = db.get_one(Institution, pool.institution_id)
    set_rules(db, resource_id=pool.id, rules=RuleSet(), further=Further(pooled=True), actor_id=None, now=NOW)
    attended = a_resource(db, institution=house)
    needs = Further(assistance={"mode": "required", "operators": [], "supervised_runs": 0})
    set_rules(db, resource_id=attended.id, rules=RuleSet(), further=needs, actor_id=None, now=NOW)
    person = a_member(db, Role.TECHNICIAN, institution=house)
    staff = operators.add_operator(db, institution_id=house.id, person_id=person.id, hours=[], actor_id=person.id, now=NOW)
    rows = firm.books(firm.wish(pool, hours(2, 4)), firm.wish(attended, hours(4, 6)))
    booked(db, pool, hours(5, 6))
    booked(db, pool, hours(6, 7))
    firm.moves(rows, 3)
    held = select(Claim.starts_at).where(Claim.resource_id == staff.id, Claim.active)
    assert list(db.scalars(held)) == [hours(7, 9).start]
    booked(db, attended, hours(10, 11))
    told = refused(firm, rows, 3)
    assert [one.code for one in told.reasons] == ["slot_taken", "no_operator_free"]
    assert audit(db) == []


def test_an_outage_takes_what_a_moved_part_leaves(db: Session, firm: Firm) -> None:
    coater, oven = a_resource(db), a_resource(db)
    rows = firm.books(firm.wish(coater, hours(2, 4)), firm.wish(oven, hours(4, 6)))
    record_outage(db, resource_id=coater.id, slot=hours(0, 5), planned=True, reason="检修", actor_id=firm.person, now=NOW)
    refused(firm, rows, 1)
    firm.moves(rows, 3)
    assert slots(rows) == [hours(5, 7), hours(7, 9)]
    assert audit(db) == []


def test_a_stale_version_and_what_is_over_are_refused(db: Session, firm: Firm) -> None:
    rows = firm.books(firm.wish(a_resource(db), hours(2, 4)), firm.wish(a_resource(db), hours(4, 6)))
    with pytest.raises(Stale) as stale:
        firm.moves(rows, 1, version=1)
    assert stale.value.values["version"] == 2
    actions.move(db, booking_id=rows[1].id, slot=hours(5, 7), version=1, actor_id=firm.person, now=NOW)
    with pytest.raises(Stale):
        firm.moves(rows, 1, version=2)
    with pytest.raises(WrongState):
        firm.moves(rows, 1, now=hours(9, 10).start)
    for row in rows:
        actions.cancel(db, booking_id=row.id, by=CancelledBy.CUSTOMER, actor_id=firm.person, now=NOW)
    with pytest.raises(WrongState):
        firm.moves(rows, 1)


def test_what_has_begun_stays_and_nothing_gets_before_it(db: Session, firm: Firm) -> None:
    rows = firm.books(*(firm.wish(a_resource(db), hours(at, at + 2)) for at in (2, 5, 8)))
    running = hours(3, 4).start
    firm.moves(rows, 1, now=running)
    assert slots(rows) == [hours(2, 4), hours(6, 8), hours(9, 11)]
    firm.moves(rows, -2, now=running)
    assert slots(rows) == [hours(2, 4), hours(4, 6), hours(7, 9)]
    told = refused(firm, rows, -0.5, now=running)
    assert [(one.code, one.values["part"]) for one in told.reasons] == [("out_of_order", 1)]
    assert told.alternatives
    assert all(way.start >= hours(4, 6).start for way in told.alternatives)


def test_each_publisher_that_decides_is_asked_anew_unless_they_move_it(db: Session, firm: Firm) -> None:
    asks, grants = a_resource(db), a_resource(db)
    set_rules(db, resource_id=asks.id, rules=RuleSet(approval=Approval.REQUEST), actor_id=None, now=NOW)
    manager = a_member(db, Role.MANAGER, institution=db.get_one(Institution, asks.institution_id))
    rows = firm.books(firm.wish(asks, hours(2, 4)), firm.wish(grants, hours(4, 6)))
    actions.approve(db, booking_id=rows[0].id, actor_id=manager.id, now=NOW)
    firm.moves(rows, 1)
    assert [row.state for row in rows] == [BookingState.REQUESTED, BookingState.CONFIRMED]
    kinds = db.scalars(select(Claim.kind).where(Claim.active).order_by(Claim.starts_at))
    assert [kind.value for kind in kinds] == ["request", "booking"]
    actions.approve(db, booking_id=rows[0].id, actor_id=manager.id, now=NOW)
    firm.moves(rows, 1, decides=[asks.institution_id])
    assert [row.state for row in rows] == [BookingState.CONFIRMED] * 2
    assert audit(db) == []


def test_each_person_gets_one_message_of_what_is_theirs(db: Session, firm: Firm) -> None:
    asks, other = a_resource(db), a_resource(db)
    set_rules(db, resource_id=asks.id, rules=RuleSet(approval=Approval.REQUEST), actor_id=None, now=NOW)
    manager = a_member(db, Role.MANAGER, institution=db.get_one(Institution, asks.institution_id))
    rows = firm.books(firm.wish(asks, hours(2, 4)), firm.wish(asks, hours(4, 6)), firm.wish(other, hours(6, 8)))
    colleague = rows[2].person_id = a_person(db).id
    before = set(db.scalars(select(Message.id)))
    firm.moves(rows, 1)
    db.flush()
    new = [one for one in db.scalars(select(Message)) if one.id not in before]
    told = {one.person_id: (one.kind, one.data["booking_id"], len(one.data.get("parts", ()))) for one in new}
    assert len(new) == 3
    assert told == {
        firm.person: ("bundle_changed", rows[0].id, 1),
        colleague: ("bundle_changed", rows[2].id, 0),
        manager.id: ("request_to_decide", rows[0].id, 1),
    }
