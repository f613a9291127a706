"""Booking against both databases: the guard, the rules, the moves."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, func, insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from booking import actions, queries
from booking.actions import CancelledBy
from booking.admission import SlotRefused, Wish
from booking.occupancy import Gap
from booking.outages.actions import affected_by, record_outage
from booking.places import get_place
from booking.rules.actions import RuleSet, set_rules
from booking.states import BookingState
from booking.tables import Approval, Booking, Category, Claim, ClaimKind
from booking.writing import claim_rows, new_booking
from marketplace.ids import new_id
from marketplace.refusals import Invalid, Stale, WrongState
from marketplace.slot import Slot
from marketplace.tables import AuditEntry, ListingState, Message, Resource
from tests.builders import a_person, a_resource, an_organisation

NOW = datetime(2026, 3, 9, 1, tzinfo=UTC)  # Monday 09:00 in Shanghai
DAY = datetime(2026, 3, 10, tzinfo=UTC)


def hours(start: float, end: float) -> Slot:
    return Slot(DAY + timedelta(hours=start), DAY + timedelta(hours=end))


def a_wish(db: Session, resource: Resource, slot: Slot, quantity: int = 1) -> Wish:
    person, firm = a_person(db), an_organisation(db)
    return Wish(resource.id, slot, person.id, firm.id, Category.EXT, quantity)


def booked(db: Session, resource: Resource, slot: Slot, **extra: object) -> Booking:
    return actions.book(db, wish=a_wish(db, resource, slot), now=NOW, **extra)  # type: ignore[arg-type]


def refusal(db: Session, resource: Resource, slot: Slot, quantity: int = 1) -> SlotRefused:
    with pytest.raises(SlotRefused) as caught:
        actions.book(db, wish=a_wish(db, resource, slot, quantity), now=NOW)
    return caught.value


def test_the_first_takes_the_slot_and_the_second_learns_what_is_left(db: Session) -> None:
    resource = a_resource(db)
    first = booked(db, resource, hours(2, 3))
    assert first.state is BookingState.CONFIRMED
    refused = refusal(db, resource, hours(2.5, 3.5))
    assert refused.code == "slot_taken"
    assert refused.conflicts == (hours(2.5, 3),)
    assert refused.alternatives[0] == hours(3, 4)
    assert len(refused.alternatives) == 3
    booked(db, resource, hours(3, 4))


def test_three_ways_out_are_found_behind_weeks_that_are_taken(db: Session) -> None:
    resource = a_resource(db)
    for month in range(2):
        booked(db, resource, hours(month * 744, (month + 1) * 744))
    refused = refusal(db, resource, hours(480, 481))
    assert refused.alternatives == tuple(hours(start, start + 1) for start in (-1, -2, -3))
    assert len(refusal(db, resource, hours(-4000, -3999)).alternatives) == 3


def test_a_rule_and_a_conflict_are_told_together(db: Session) -> None:
    resource = a_resource(db)
    set_rules(db, resource_id=resource.id, rules=RuleSet(min_min=60, step_min=60), actor_id=None, now=NOW)
    booked(db, resource, hours(2, 3))
    refused = refusal(db, resource, hours(2.25, 2.75))
    assert [reason.code for reason in refused.reasons] == ["too_short", "off_step", "slot_taken"]
    assert refused.conflicts == (hours(2.25, 2.75),)


def test_what_is_listed_as_free_is_accepted_to_its_ends(db: Session) -> None:
    resource = a_resource(db)
    set_rules(
        db, resource_id=resource.id, rules=RuleSet(setup_min=15, cleaning_min=30, buffer_mode=Gap.SUM), actor_id=None, now=NOW
    )
    booked(db, resource, hours(4, 6))
    free = queries.free_time(db, resource.id, within=hours(2, 10), now=NOW)
    assert free == [Slot(DAY + timedelta(hours=2), DAY + timedelta(hours=3.25)), hours(6.75, 10)]
    for slot in free:
        booked(db, resource, slot)
    assert [busy.kind for busy in queries.busy_time(db, resource.id, within=hours(5, 6.75))] == ["booking", "buffer"]


def test_capacity_counts_units(db: Session) -> None:
    resource = a_resource(db, capacity=3)
    for start, end in ((10, 11), (11, 12), (9.5, 11)):
        booked(db, resource, hours(start, end))
    booked(db, resource, hours(9, 12))
    assert refusal(db, resource, hours(10, 11)).code == "slot_taken"
    assert "beyond_capacity" in [reason.code for reason in refusal(db, resource, hours(14, 15), quantity=4).reasons]


def test_a_paused_resource_takes_no_bookings(db: Session) -> None:
    resource = a_resource(db, state=ListingState.PAUSED)
    assert [reason.code for reason in refusal(db, resource, hours(2, 3)).reasons] == ["not_bookable"]


def test_the_database_refuses_what_slips_past_the_check(db: Session) -> None:
    resource = a_resource(db)
    booking = booked(db, resource, hours(2, 3))
    row = db.scalars(select(Claim).where(Claim.booking_id == booking.id)).one()
    twin = Claim(
        id=new_id("clm"),
        institution_id=row.institution_id,
        resource_id=row.resource_id,
        unit=0,
        lane=0,
        starts_at=row.starts_at + timedelta(minutes=59),
        ends_at=row.ends_at + timedelta(minutes=59),
        kind=ClaimKind.BOOKING,
        booking_id=booking.id,
        active=True,
    )
    db.add(twin)
    with pytest.raises(IntegrityError, match="claims_no_overlap"):
        db.flush()


def test_a_cancelled_booking_frees_its_slot_and_its_message_goes_out_once(db: Session) -> None:
    resource = a_resource(db)
    booking = booked(db, resource, hours(2, 3))
    actions.cancel(db, booking_id=booking.id, by=CancelledBy.CUSTOMER, actor_id=booking.person_id, now=NOW)
    booked(db, resource, hours(2, 3))
    with pytest.raises(WrongState):
        actions.cancel(db, booking_id=booking.id, by=CancelledBy.CUSTOMER, actor_id=booking.person_id, now=NOW)
    told = db.scalars(select(Message.kind).where(Message.person_id == booking.person_id)).all()
    assert sorted(told) == ["booking_cancelled", "booking_confirmed"]
    audited = db.scalars(select(AuditEntry.action).where(AuditEntry.object_id == booking.id)).all()
    assert sorted(audited) == ["book", "cancel"]


def test_a_started_booking_is_not_cancelled_by_its_customer(db: Session) -> None:
    booking = booked(db, a_resource(db), hours(2, 3))
    with pytest.raises(WrongState):
        actions.cancel(db, booking_id=booking.id, by=CancelledBy.CUSTOMER, actor_id=booking.person_id, now=booking.starts_at)


def test_a_hold_blocks_until_it_expires(db: Session) -> None:
    resource = a_resource(db)
    held = booked(db, resource, hours(2, 3), hold_until=NOW + timedelta(minutes=10))
    assert held.state is BookingState.HELD
    assert refusal(db, resource, hours(2, 3)).code == "slot_taken"
    assert queries.expired_holds(db, now=NOW + timedelta(minutes=9)) == []
    assert queries.expired_holds(db, now=NOW + timedelta(minutes=10)) == [held.id]
    actions.expire(db, booking_id=held.id, now=NOW + timedelta(minutes=10))
    booked(db, resource, hours(2, 3))
    with pytest.raises(WrongState):
        actions.confirm_hold(db, booking_id=held.id, now=NOW + timedelta(minutes=11))


def test_what_is_not_to_be_had_any_more_takes_no_new_time(db: Session) -> None:
    resource, later = a_resource(db), NOW + timedelta(minutes=10)
    held = booked(db, resource, hours(2, 3), hold_until=later)
    set_rules(db, resource_id=resource.id, rules=RuleSet(approval=Approval.REQUEST), actor_id=None, now=NOW)
    asked = booked(db, resource, hours(4, 5))
    asked.decide_by = later
    for row, to in ((held, hours(6, 7)), (asked, hours(8, 9))):
        with pytest.raises(WrongState):
            actions.move(db, booking_id=row.id, slot=to, version=1, actor_id=row.person_id, now=later)
        just = later - timedelta(seconds=1)
        assert actions.move(db, booking_id=row.id, slot=to, version=1, actor_id=row.person_id, now=just).slot == to


def test_a_move_obeys_the_rules_and_never_meets_itself(db: Session) -> None:
    resource = a_resource(db)
    booking = booked(db, resource, hours(2, 4))
    booked(db, resource, hours(6, 7))
    moved = actions.move(
        db, booking_id=booking.id, slot=hours(3, 5), version=booking.version, actor_id=booking.person_id, now=NOW
    )
    assert moved.slot == hours(3, 5)
    with pytest.raises(SlotRefused):
        actions.move(db, booking_id=booking.id, slot=hours(5, 7), version=moved.version, actor_id=booking.person_id, now=NOW)
    with pytest.raises(Stale):
        actions.move(db, booking_id=booking.id, slot=hours(8, 9), version=1, actor_id=booking.person_id, now=NOW)
    assert db.scalar(select(func.count()).where(Claim.booking_id == booking.id, Claim.active)) == 1


def test_a_booking_that_has_begun_is_not_moved_away_from_its_no_show(db: Session) -> None:
    booking = booked(db, a_resource(db), hours(2, 4))
    with pytest.raises(WrongState):
        actions.move(db, booking_id=booking.id, slot=hours(8, 9), version=1, actor_id=booking.person_id, now=booking.starts_at)


def test_a_request_blocks_its_slot_until_it_is_decided(db: Session) -> None:
    resource = a_resource(db)
    set_rules(db, resource_id=resource.id, rules=RuleSet(approval=Approval.REQUEST), actor_id=None, now=NOW)
    asked = booked(db, resource, hours(2, 3))
    assert asked.state is BookingState.REQUESTED
    assert refusal(db, resource, hours(2, 3)).code == "slot_taken"
    actions.refuse(db, booking_id=asked.id, actor_id=asked.person_id, now=NOW)
    again = booked(db, resource, hours(2, 3))
    actions.approve(db, booking_id=again.id, actor_id=again.person_id, now=NOW)
    with pytest.raises(WrongState):
        actions.approve(db, booking_id=again.id, actor_id=again.person_id, now=NOW)


def test_a_request_that_nobody_answers_frees_its_slot_at_its_start(db: Session) -> None:
    resource = a_resource(db)
    set_rules(db, resource_id=resource.id, rules=RuleSet(approval=Approval.REQUEST), actor_id=None, now=NOW)
    asked = booked(db, resource, hours(2, 4))
    assert queries.undecided_requests(db, now=asked.starts_at - timedelta(seconds=1)) == []
    assert queries.undecided_requests(db, now=asked.starts_at) == [asked.id]
    assert actions.expire(db, booking_id=asked.id, now=asked.starts_at).state is BookingState.EXPIRED
    booked(db, resource, hours(2, 4))


def test_a_verdict_concludes_once(db: Session) -> None:
    booking = booked(db, a_resource(db), hours(2, 3))
    for _ in range(2):
        actions.conclude(db, booking_id=booking.id, outcome=BookingState.COMPLETED, now=NOW)
    with pytest.raises(WrongState):
        actions.conclude(db, booking_id=booking.id, outcome=BookingState.NO_SHOW, now=NOW)


def test_an_outage_closes_what_no_booking_holds(db: Session) -> None:
    resource = a_resource(db)
    booking = booked(db, resource, hours(4, 5))
    assert affected_by(db, resource_id=resource.id, slot=hours(3, 6)) == [booking]
    outage = record_outage(
        db, resource_id=resource.id, slot=hours(3, 6), planned=True, reason="leak", actor_id=booking.person_id, now=NOW
    )
    assert outage.planned
    assert queries.free_time(db, resource.id, within=hours(2, 8), now=NOW) == [hours(2, 3), hours(6, 8)]
    late = record_outage(
        db,
        resource_id=resource.id,
        slot=hours(10, 11),
        planned=True,
        reason="leak",
        actor_id=booking.person_id,
        now=DAY + timedelta(hours=10),
    )
    assert not late.planned


@pytest.mark.parametrize("gap", Gap)
def test_the_time_of_a_booking_that_an_outage_had_spared_closes_when_it_leaves(db: Session, gap: Gap) -> None:
    resource = a_resource(db, capacity=2)
    rules = RuleSet(setup_min=15, cleaning_min=30, buffer_mode=gap)
    set_rules(db, resource_id=resource.id, rules=rules, actor_id=None, now=NOW)
    one, two = booked(db, resource, hours(4, 5)), booked(db, resource, hours(4, 5))
    who = one.person_id
    record_outage(db, resource_id=resource.id, slot=hours(3, 7), planned=True, reason="leak", actor_id=who, now=NOW)
    moved = actions.move(db, booking_id=one.id, slot=hours(4.5, 5), version=1, actor_id=who, now=NOW)
    assert moved.slot == hours(4.5, 5)
    actions.move(db, booking_id=one.id, slot=hours(9, 10), version=2, actor_id=who, now=NOW)
    actions.cancel(db, booking_id=two.id, by=CancelledBy.CUSTOMER, actor_id=who, now=NOW)
    assert refusal(db, resource, hours(4, 5)).code == "slot_taken"
    assert queries.free_time(db, resource.id, within=hours(3, 7), now=NOW) == []


def test_rules_that_cannot_hold_are_refused(db: Session) -> None:
    resource = a_resource(db)
    with pytest.raises(Invalid):
        set_rules(db, resource_id=resource.id, rules=RuleSet(min_min=60, max_min=30), actor_id=None, now=NOW)
    with pytest.raises(Invalid):
        set_rules(
            db,
            resource_id=resource.id,
            rules=RuleSet(hours=[{"weekday": 1, "open_min": 600, "close_min": 540}]),
            actor_id=None,
            now=NOW,
        )


def test_accepted_bookings_keep_the_rules_they_were_made_under(db: Session) -> None:
    resource = a_resource(db)
    booking = booked(db, resource, hours(2, 3))
    kept = booking.rules_id
    set_rules(db, resource_id=resource.id, rules=RuleSet(min_min=120), actor_id=None, now=NOW)
    db.refresh(booking)
    assert booking.rules_id == kept != queries.rules_of(db, resource.id).id


CONTENDERS = 24


def race(sessions: sessionmaker[Session], wishes: list[Wish]) -> list[str]:
    """Every wish in a thread of its own, at once; what each was told."""
    gate, told = threading.Barrier(len(wishes)), []

    def try_to_book(wish: Wish) -> None:
        gate.wait()
        with sessions() as session:
            try:
                actions.book(session, wish=wish, now=NOW)
                session.commit()
                told.append("booked")
            except SlotRefused as refused:
                told.append(refused.code if refused.alternatives else "no alternatives")

    threads = [threading.Thread(target=try_to_book, args=(wish,)) for wish in wishes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return told


def test_of_many_at_once_one_gets_the_slot(committed_db: sessionmaker[Session]) -> None:
    with committed_db() as session:
        resource = a_resource(session)
        wishes = [a_wish(session, resource, hours(2, 3)) for _ in range(CONTENDERS)]
        session.commit()
    told = race(committed_db, wishes)
    assert sorted(told) == ["booked"] + ["slot_taken"] * (CONTENDERS - 1)
    with committed_db() as session:
        assert session.scalar(select(func.count()).select_from(Booking)) == 1


def test_without_the_lock_and_the_guard_the_race_double_books(committed_db: sessionmaker[Session]) -> None:
    """The control: a check and an insert with nothing to hold them together must fail where ours does not."""
    with committed_db() as session:
        resource = a_resource(session)
        wishes = [a_wish(session, resource, hours(2, 3)) for _ in range(8)]
        dialect = session.get_bind().dialect.name
        if dialect == "postgresql":
            session.execute(text("ALTER TABLE claims DROP CONSTRAINT claims_no_overlap"))
        else:
            session.execute(text("DROP TRIGGER claims_no_overlap_insert"))
        session.execute(delete(Claim))
        session.commit()
    gate, stored = threading.Barrier(len(wishes)), []

    def careless(wish: Wish) -> None:
        with committed_db() as session:
            free = not queries.taken(session, [wish.resource_id], within=wish.slot).get(wish.resource_id)
            session.rollback()
        gate.wait()
        if free:
            with committed_db() as session:
                place = get_place(session, wish.resource_id)
                booking = Booking(**new_booking(place, wish, None, NOW))
                session.add(booking)
                session.flush()
                session.execute(insert(Claim), claim_rows(booking, {place.resource_id: [0]}, place.rules.buffers))
                session.commit()
                stored.append(booking.id)

    threads = [threading.Thread(target=careless, args=(wish,)) for wish in wishes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(stored) > 1
