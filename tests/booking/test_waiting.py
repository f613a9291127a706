"""Waiting lists: who is offered what, in which order, until when; and that an offer is a claim like any other."""

import random
import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, select
from sqlalchemy.orm import Session, sessionmaker

from booking import actions, queries
from booking.actions import CancelledBy
from booking.admission import SlotRefused, Wish
from booking.outages.actions import record_outage
from booking.rules.actions import Further, RuleSet, set_rules
from booking.tables import Booking, Category, Claim, ClaimKind
from booking.waiting import actions as waiting
from booking.waiting import offers
from booking.waiting.actions import AlreadyWaiting, FreeNow, InVain, LineFull, OfferOver, join
from booking.waiting.line import WaitingState
from booking.waiting.queries import positions
from booking.waiting.tables import WaitingEntry
from marketplace.refusals import Invalid, WrongState
from marketplace.roles import Role
from marketplace.slot import Slot
from marketplace.tables import Membership, Message, Organisation, Person, Resource
from tests.builders import a_member, a_person, a_resource, an_organisation
from web.running import audit

NOW = datetime(2026, 3, 9, 1, tzinfo=UTC)
DAY = datetime(2026, 3, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)


def hours(start: float, end: float) -> Slot:
    return Slot(DAY + start * HOUR, DAY + end * HOUR)


def a_wish(
    db: Session, resource: Resource, slot: Slot, *, firm: Organisation | None = None, person: Person | None = None
) -> Wish:
    buyer = firm or an_organisation(db)
    return Wish(resource.id, slot, (person or a_member(db, Role.MEMBER, organisation=buyer)).id, buyer.id, Category.EXT)


def booked(db: Session, resource: Resource, slot: Slot) -> Booking:
    return actions.book(db, wish=a_wish(db, resource, slot), now=NOW)


def waits(
    db: Session, resource: Resource, slot: Slot, *, length: float | None = None, after: int = 0, **who: object
) -> WaitingEntry:
    """Joined so many minutes later than the others."""
    wish, long = a_wish(db, resource, slot, **who), length * HOUR if length else None  # type: ignore[arg-type]
    return join(db, wish=wish, length=long, now=NOW + timedelta(minutes=after))


def cancelled(db: Session, booking: Booking, now: datetime = NOW) -> None:
    actions.cancel(db, booking_id=booking.id, by=CancelledBy.CUSTOMER, actor_id=booking.person_id, now=now)
    offers.offer_freed(db, resource_id=booking.resource_id, freed=booking.slot, now=now)


def states(*entries: WaitingEntry) -> list[str]:
    return [entry.state.value for entry in entries]


def claimed(db: Session, entry: WaitingEntry) -> list[Slot]:
    rows = db.scalars(select(Claim).where(Claim.waiting_id == entry.id, Claim.active).order_by(Claim.starts_at)).all()
    assert all(row.kind is ClaimKind.OFFER for row in rows)
    return [Slot(row.starts_at, row.ends_at) for row in rows]


def told(db: Session, entry: WaitingEntry) -> list[str]:
    return list(db.scalars(select(Message.kind).where(Message.person_id == entry.person_id).order_by(Message.created_at)))


def taken_up(db: Session, entry: WaitingEntry, now: datetime = NOW) -> Booking:
    _, wish = waiting.take_up(db, entry_id=entry.id, now=now)
    booking = actions.book(db, wish=wish, now=now)
    waiting.settle(db, entry=entry, booking=booking, now=now)
    return booking


def test_the_first_in_line_is_offered_what_is_cancelled_and_nobody_else_can_have_it(db: Session) -> None:
    resource = a_resource(db)
    booking = booked(db, resource, hours(4, 6))
    second, first = waits(db, resource, hours(4, 6), after=2), waits(db, resource, hours(4, 6), after=1)
    assert positions(db, [first, second]) == {first.id: 1, second.id: 2}
    cancelled(db, booking)
    assert states(first, second) == ["offered", "waiting"]
    assert (first.offer, first.offered_until) == (hours(4, 6), NOW + HOUR)
    assert claimed(db, first) == [hours(4, 6)]
    assert [busy.kind for busy in queries.busy_time(db, resource.id, within=hours(0, 24))] == ["offer"]
    with pytest.raises(SlotRefused) as refused:
        booked(db, resource, hours(5, 7))
    assert refused.value.conflicts == (hours(5, 6),)
    assert (told(db, first), told(db, second)) == (["waiting_offered"], [])
    assert audit(db) == []


def test_accepting_makes_a_booking_of_exactly_that_time_once(db: Session) -> None:
    resource = a_resource(db)
    booking = booked(db, resource, hours(4, 6))
    entry = waits(db, resource, hours(4, 6))
    cancelled(db, booking)
    made = taken_up(db, entry)
    assert (made.slot, made.person_id, made.organisation_id) == (hours(4, 6), entry.person_id, entry.organisation_id)
    assert (entry.state, entry.booking_id, claimed(db, entry)) == (WaitingState.BOOKED, made.id, [])
    with pytest.raises(WrongState):
        waiting.take_up(db, entry_id=entry.id, now=NOW)
    assert audit(db) == []


def test_declining_and_withdrawing_offer_the_time_to_the_next_in_the_same_step(db: Session) -> None:
    resource = a_resource(db)
    booking = booked(db, resource, hours(4, 6))
    line = [waits(db, resource, hours(4, 6), after=n) for n in range(3)]
    cancelled(db, booking)
    waiting.decline(db, entry_id=line[0].id, now=NOW)
    assert states(*line) == ["declined", "offered", "waiting"]
    waiting.withdraw(db, entry_id=line[1].id, now=NOW)
    assert states(*line) == ["declined", "withdrawn", "offered"]
    with pytest.raises(WrongState):
        waiting.withdraw(db, entry_id=line[0].id, now=NOW)
    waiting.decline(db, entry_id=line[2].id, now=NOW)
    assert queries.free_time(db, resource.id, within=hours(4, 6), now=NOW) == [hours(4, 6)]
    assert [told(db, one) for one in line] == [["waiting_offered"]] * 3
    assert audit(db) == []


def test_an_offer_ends_exactly_at_its_time_whether_the_worker_has_seen_it_or_not(db: Session) -> None:
    resource = a_resource(db)
    booking = booked(db, resource, hours(4, 6))
    first, second = waits(db, resource, hours(4, 6)), waits(db, resource, hours(4, 6), after=1)
    cancelled(db, booking)
    waiting.lapse(db, now=NOW + HOUR - timedelta(seconds=1))
    assert states(first, second) == ["offered", "waiting"]
    for answer in (waiting.take_up, waiting.decline):
        with pytest.raises(OfferOver):
            answer(db, entry_id=first.id, now=NOW + HOUR)
    waiting.lapse(db, now=NOW + HOUR)
    assert states(first, second) == ["lapsed", "offered"]
    assert second.offered_until == NOW + 2 * HOUR
    with pytest.raises(OfferOver):
        waiting.take_up(db, entry_id=first.id, now=NOW + HOUR)
    waiting.lapse(db, now=NOW + HOUR)
    assert told(db, first) == ["waiting_offered", "waiting_lapsed"]
    assert told(db, second) == ["waiting_offered"]


def test_an_offer_lasts_as_the_rules_say_and_never_beyond_the_last_moment_to_book(db: Session) -> None:
    resource = a_resource(db)
    rules, further = RuleSet(notice_min=60), Further(offer_min=30)
    set_rules(db, resource_id=resource.id, rules=rules, further=further, actor_id=None, now=NOW)
    booking = booked(db, resource, hours(4, 6))
    entry = waits(db, resource, hours(4, 6))
    cancelled(db, booking, now=hours(2.75, 3).start)
    assert entry.offered_until == hours(3, 4).start


def test_what_can_hardly_be_booked_any_more_is_offered_to_nobody(db: Session) -> None:
    resource = a_resource(db)
    booking = booked(db, resource, hours(4, 6))
    entry = waits(db, resource, hours(4, 6))
    late = hours(4, 6).start - timedelta(seconds=30)
    cancelled(db, booking, now=late)
    assert entry.state is WaitingState.WAITING
    waiting.look(db, now=hours(4, 6).start)
    assert entry.state is WaitingState.OVER


def test_who_is_not_granted_is_skipped_and_keeps_the_place(db: Session) -> None:
    resource, firm = a_resource(db), an_organisation(db)
    quota = {"limit": 1, "unit": "count", "per": "day", "by": "organisation"}
    set_rules(db, resource_id=resource.id, rules=RuleSet(), further=Further(quotas=[quota]), actor_id=None, now=NOW)
    booking = booked(db, resource, hours(4, 6))
    own = actions.book(db, wish=a_wish(db, resource, hours(8, 9), firm=firm), now=NOW)
    full, other = waits(db, resource, hours(4, 6), firm=firm), waits(db, resource, hours(4, 6), after=1)
    cancelled(db, booking)
    assert states(full, other) == ["waiting", "offered"]
    cancelled(db, own)
    waiting.decline(db, entry_id=other.id, now=NOW)
    assert states(full, other) == ["offered", "declined"]


def test_who_may_not_book_any_more_is_skipped(db: Session) -> None:
    resource, firm = a_resource(db), an_organisation(db)
    booking = booked(db, resource, hours(4, 6))
    left, gone = waits(db, resource, hours(4, 6), firm=firm), waits(db, resource, hours(4, 6), after=1)
    staff, stays = waits(db, resource, hours(4, 6), after=2), waits(db, resource, hours(4, 6), after=3)
    db.execute(delete(Membership).where(Membership.person_id == left.person_id))
    db.get_one(Person, gone.person_id).disabled_at = NOW
    staff.organisation_id = None  # for a house where the person does not work
    cancelled(db, booking)
    assert states(left, gone, staff, stays) == ["waiting", "waiting", "waiting", "offered"]


def test_a_length_within_a_window_gets_the_earliest_place_that_is_free(db: Session) -> None:
    resource = a_resource(db)
    set_rules(db, resource_id=resource.id, rules=RuleSet(step_min=30), actor_id=None, now=NOW)
    bookings = [booked(db, resource, hours(n, n + 2)) for n in range(0, 12, 2)]
    entry, short = waits(db, resource, hours(0, 12), length=3), waits(db, resource, hours(3, 12), length=1, after=1)
    cancelled(db, bookings[3])
    assert states(entry, short) == ["waiting", "offered"]
    assert short.offer == hours(6, 7)
    waiting.decline(db, entry_id=short.id, now=NOW)
    cancelled(db, bookings[4])
    assert entry.offer == hours(6, 9)


def test_one_freed_time_is_offered_to_as_many_as_fit(db: Session) -> None:
    resource = a_resource(db, capacity=2)
    bookings = [booked(db, resource, hours(4, 6)) for _ in range(2)]
    line = [
        waits(db, resource, hours(4, 5), after=0),
        waits(db, resource, hours(4, 6), after=1),
        waits(db, resource, hours(5, 6), after=2),
    ]
    cancelled(db, bookings[1])
    assert states(*line) == ["offered", "waiting", "offered"]
    cancelled(db, bookings[0])
    assert states(*line) == ["offered", "offered", "offered"]
    assert audit(db) == []


def test_buffers_are_part_of_an_offer(db: Session) -> None:
    resource = a_resource(db)
    set_rules(db, resource_id=resource.id, rules=RuleSet(setup_min=15, cleaning_min=30), actor_id=None, now=NOW)
    booking = booked(db, resource, hours(4, 6))
    entry = waits(db, resource, hours(4, 6))
    cancelled(db, booking)
    assert claimed(db, entry) == [hours(3.75, 6.5)]


def test_where_buffers_are_waived_an_offer_keeps_them_and_the_booking_does_not(db: Session) -> None:
    resource, firm = a_resource(db), an_organisation(db)
    further = Further(waive_own_buffers=True)
    set_rules(db, resource_id=resource.id, rules=RuleSet(setup_min=30), further=further, actor_id=None, now=NOW)
    booking = booked(db, resource, hours(4, 6))
    actions.book(db, wish=a_wish(db, resource, hours(2, 3.5), firm=firm), now=NOW)
    entry = waits(db, resource, hours(4, 6), firm=firm)
    cancelled(db, booking)
    assert claimed(db, entry) == [hours(3.5, 6)]
    taken_up(db, entry)
    assert audit(db) == []


def test_a_line_and_its_station_share_what_became_free(db: Session) -> None:
    line = a_resource(db)
    station = a_resource(db, parent_id=line.id, institution_id=line.institution_id)
    whole = booked(db, line, hours(4, 6))
    at_station, at_line = waits(db, station, hours(4, 6)), waits(db, line, hours(4, 6), after=1)
    cancelled(db, whole)
    assert states(at_station, at_line) == ["offered", "waiting"]
    waiting.decline(db, entry_id=at_station.id, now=NOW)
    waiting.look(db, now=NOW)
    assert states(at_station, at_line) == ["declined", "offered"]
    rows = db.execute(select(Claim.resource_id).where(Claim.waiting_id == at_line.id, Claim.active)).scalars().all()
    assert sorted(rows) == sorted([line.id, station.id])
    assert audit(db) == []


def test_the_worker_offers_what_became_free_by_other_ways(db: Session) -> None:
    resource = a_resource(db)
    booked(db, resource, hours(4, 6))
    entry = waits(db, resource, hours(4, 6))
    waiting.look(db, now=NOW)
    assert entry.state is WaitingState.WAITING
    resource.capacity = 2
    db.flush()
    waiting.look(db, now=NOW)
    assert entry.state is WaitingState.OFFERED


def test_an_outage_takes_offers_back_and_they_keep_their_places(db: Session) -> None:
    resource = a_resource(db)
    booking = booked(db, resource, hours(4, 6))
    entry, later = waits(db, resource, hours(4, 6)), waits(db, resource, hours(4, 6), after=1)
    cancelled(db, booking)
    offers.recall(db, resource_id=resource.id, slot=hours(5, 8), now=NOW)
    record_outage(db, resource_id=resource.id, slot=hours(5, 8), planned=True, reason="x", actor_id="per_1", now=NOW)
    waiting.look(db, now=NOW)
    assert states(entry, later) == ["waiting", "waiting"]
    assert positions(db, [entry, later]) == {entry.id: 1, later.id: 2}
    assert told(db, entry) == ["waiting_offered", "waiting_recalled"]
    assert audit(db) == []


def test_nobody_waits_for_what_is_free_or_can_never_be_had(db: Session) -> None:
    resource = a_resource(db, capacity=2)
    set_rules(db, resource_id=resource.id, rules=RuleSet(step_min=30, max_min=240, horizon_days=7), actor_id=None, now=NOW)
    booked(db, resource, hours(4, 6))
    with pytest.raises(FreeNow) as free:
        waits(db, resource, hours(4, 6))
    assert free.value.alternatives == (hours(4, 6),)
    booked(db, resource, hours(4, 6))
    with pytest.raises(FreeNow) as free:
        waits(db, resource, hours(4, 9), length=2)
    assert free.value.alternatives == (hours(6, 8),)
    for slot, code in ((hours(4, 9), "too_long"), (hours(4.25, 5.25), "off_step"), (hours(240, 242), "beyond_horizon")):
        with pytest.raises(InVain) as refused:
            waits(db, resource, slot)
        assert code in [reason.code for reason in refused.value.reasons]
    with pytest.raises(InVain):
        waits(db, resource, hours(-48, -46))
    for slot, length in ((hours(0, 745), 1.0), (hours(4, 5), 2.0)):
        with pytest.raises(Invalid):
            waits(db, resource, slot, length=length)


def test_places_are_bounded_and_nobody_has_the_same_one_twice(db: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    resource, person = a_resource(db), a_person(db)
    booked(db, resource, hours(4, 12))
    waits(db, resource, hours(4, 6), person=person)
    with pytest.raises(AlreadyWaiting):
        waits(db, resource, hours(4, 6), person=person)
    for start in range(5, 9):
        waits(db, resource, hours(start, 10), person=person)
    with pytest.raises(LineFull):
        waits(db, resource, hours(4, 7), person=person)
    monkeypatch.setattr(waiting, "MOST_IN_LINE", 5)
    with pytest.raises(LineFull):
        waits(db, resource, hours(4, 7))


def test_whatever_happens_no_two_claims_overlap_and_offers_hold_their_units(db: Session) -> None:
    dice = random.Random(7)
    resource = a_resource(db, capacity=2)
    set_rules(db, resource_id=resource.id, rules=RuleSet(setup_min=15, step_min=15), actor_id=None, now=NOW)
    bookings: list[Booking] = []
    entries: list[WaitingEntry] = []
    for turn in range(150):
        now = NOW + timedelta(minutes=7 * turn)
        start = dice.randrange(30, 60)
        slot, act = hours(start, start + dice.choice((1, 2, 3))), dice.randrange(5)
        offered = [one for one in entries if one.state is WaitingState.OFFERED and (one.offered_until or now) > now]
        if act <= 1:
            try:
                with db.begin_nested():
                    bookings.append(actions.book(db, wish=a_wish(db, resource, slot), now=now))
            except SlotRefused:
                entries.append(join(db, wish=a_wish(db, resource, slot), length=None, now=now))
        elif act == 2 and bookings:
            cancelled(db, bookings.pop(dice.randrange(len(bookings))), now)
        elif act == 3 and offered:
            one = dice.choice(offered)
            bookings.append(taken_up(db, one, now)) if dice.random() < 0.6 else waiting.decline(db, entry_id=one.id, now=now)
        waiting.lapse(db, now=now)
        if turn % 10 == 0:
            assert audit(db) == []
    assert {"booked", "waiting"} < set(states(*entries))
    assert audit(db) == []


def test_of_two_who_answer_at_once_one_is_heard(committed_db: sessionmaker[Session]) -> None:
    with committed_db.begin() as db:
        resource = a_resource(db)
        booking = booked(db, resource, hours(4, 6))
        entry, following = waits(db, resource, hours(4, 6)), waits(db, resource, hours(4, 6), after=1)
        cancelled(db, booking)
    done: list[str] = []
    gate = threading.Barrier(6)

    def answer(number: int) -> None:
        gate.wait()
        try:
            with committed_db.begin() as db:
                if number % 2:
                    waiting.decline(db, entry_id=entry.id, now=NOW)
                else:
                    taken_up(db, waiting.lines.get_entry(db, entry.id))
            done.append("declined" if number % 2 else "booked")
        except WrongState:
            done.append("late")

    threads = [threading.Thread(target=answer, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with committed_db() as db:
        ended = db.get_one(WaitingEntry, entry.id).state.value
        after = db.get_one(WaitingEntry, following.id).state.value
        assert sorted(done) == sorted([ended, *["late"] * 5])
        assert after == ("waiting" if ended == "booked" else "offered")
        assert audit(db) == []


def test_what_is_rolled_back_was_never_offered(committed_db: sessionmaker[Session]) -> None:
    with committed_db.begin() as db:
        resource = a_resource(db)
        booking = booked(db, resource, hours(4, 6))
        entry = waits(db, resource, hours(4, 6))
    with committed_db() as db:
        cancelled(db, booking)
        assert db.get_one(WaitingEntry, entry.id).state is WaitingState.OFFERED
        db.rollback()
    with committed_db() as db:
        kept = db.get_one(WaitingEntry, entry.id)
        assert (kept.state, told(db, kept), claimed(db, kept)) == (WaitingState.WAITING, [], [])
        assert db.get_one(Booking, booking.id).state.value == "confirmed"
