"""Back-to-back runs of one customer keep no buffers between them; towards everybody else nothing ever gives way."""

import random
import threading
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from booking import actions, queries
from booking.actions import CancelledBy
from booking.admission import SlotRefused, Wish
from booking.lines.actions import fit
from booking.occupancy import Gap
from booking.outages.actions import record_outage
from booking.rules.actions import Further, RuleSet, set_rules
from booking.tables import Booking, Category, Claim
from marketplace.slot import Slot
from marketplace.tables import Organisation, Resource
from tests.builders import a_person, a_resource, an_organisation

NOW = datetime(2026, 3, 9, 1, tzinfo=UTC)
DAY = datetime(2026, 3, 10, tzinfo=UTC)
SETUP, CLEANING = timedelta(minutes=15), timedelta(minutes=30)


def hours(start: float, end: float) -> Slot:
    return Slot(DAY + timedelta(hours=start), DAY + timedelta(hours=end))


def shared(db: Session, gap: Gap = Gap.SUM, **values: object) -> Resource:
    """A resource that waives buffers between one customer's runs."""
    resource = a_resource(db, **values)  # type: ignore[arg-type]
    waive(db, resource, gap)
    return resource


def waive(db: Session, resource: Resource, gap: Gap = Gap.SUM) -> None:
    rules = RuleSet(setup_min=15, cleaning_min=30, buffer_mode=gap)
    further = Further(waive_own_buffers=True)
    set_rules(db, resource_id=resource.id, rules=rules, further=further, actor_id=None, now=NOW)


def booked(db: Session, resource: Resource, firm: Organisation | None, slot: Slot) -> Booking:
    wish = Wish(resource.id, slot, a_person(db).id, firm.id if firm else None, Category.EXT)
    return actions.book(db, wish=wish, now=NOW)


def spans(db: Session, booking: Booking) -> list[Slot]:
    """What it claims, in order of lanes and units."""
    rows = select(Claim).where(Claim.booking_id == booking.id, Claim.active).order_by(Claim.unit, Claim.lane)
    return [Slot(row.starts_at, row.ends_at) for row in db.scalars(rows.execution_options(populate_existing=True))]


def cancelled(db: Session, booking: Booking) -> None:
    actions.cancel(db, booking_id=booking.id, by=CancelledBy.CUSTOMER, actor_id=booking.person_id, now=NOW)


def test_what_touches_keeps_no_buffers_between_and_all_towards_others(db: Session) -> None:
    resource, firm, other = shared(db), an_organisation(db), an_organisation(db)
    one, two = booked(db, resource, firm, hours(4, 6)), booked(db, resource, firm, hours(6, 8))
    assert spans(db, one) == [hours(3.75, 6)]
    assert spans(db, two) == [hours(6, 8.5)]
    for close in (hours(8, 9), hours(8.5, 9), hours(3, 3.5), hours(3, 4)):
        with pytest.raises(SlotRefused):
            booked(db, resource, other, close)
    with pytest.raises(SlotRefused):
        booked(db, resource, firm, hours(8.25, 9))  # near, but not back to back
    booked(db, resource, other, hours(8.75, 9))
    assert [busy.kind for busy in queries.busy_time(db, resource.id, within=hours(3.75, 8.5))] == [
        "buffer", "booking", "booking", "buffer",
    ]  # fmt: skip


def test_without_the_rule_and_for_others_the_buffers_stay(db: Session) -> None:
    resource, firm = shared(db), an_organisation(db)
    booked(db, resource, firm, hours(4, 6))
    with pytest.raises(SlotRefused):
        booked(db, resource, an_organisation(db), hours(6, 8))
    with pytest.raises(SlotRefused):
        booked(db, resource, None, hours(6, 8))
    strict = a_resource(db)
    set_rules(db, resource_id=strict.id, rules=RuleSet(setup_min=15, cleaning_min=30), actor_id=None, now=NOW)
    booked(db, strict, firm, hours(4, 6))
    with pytest.raises(SlotRefused):
        booked(db, strict, firm, hours(6, 8))


@pytest.mark.parametrize("gap", Gap)
def test_when_one_leaves_the_other_gets_its_buffers_back_before_anybody_else(db: Session, gap: Gap) -> None:
    resource, firm, other = shared(db, gap), an_organisation(db), an_organisation(db)
    one, two = booked(db, resource, firm, hours(4, 6)), booked(db, resource, firm, hours(6, 8))
    cancelled(db, one)
    assert min(span.start for span in spans(db, two)) == hours(6, 8).start - SETUP
    with pytest.raises(SlotRefused):
        booked(db, resource, other, hours(4, 6))
    again = booked(db, resource, firm, hours(5, 6))
    actions.move(db, booking_id=two.id, slot=hours(12, 14), version=1, actor_id=two.person_id, now=NOW)
    assert max(span.end for span in spans(db, again)) == hours(5, 6).end + CLEANING
    with pytest.raises(SlotRefused):
        booked(db, resource, other, hours(6, 7))


def test_staff_of_the_house_are_one_customer(db: Session) -> None:
    resource = shared(db)
    booked(db, resource, None, hours(4, 6))
    booked(db, resource, None, hours(6, 8))


def test_a_move_that_is_refused_leaves_every_claim_as_it_was(db: Session) -> None:
    resource, firm, other = shared(db), an_organisation(db), an_organisation(db)
    one, two = booked(db, resource, firm, hours(4, 6)), booked(db, resource, firm, hours(6, 8))
    booked(db, resource, other, hours(12, 14))
    with pytest.raises(SlotRefused):
        actions.move(db, booking_id=one.id, slot=hours(13, 15), version=1, actor_id=one.person_id, now=NOW)
    assert (spans(db, one), spans(db, two)) == ([hours(3.75, 6)], [hours(6, 8.5)])
    with pytest.raises(SlotRefused):  # near its neighbour, whose set-up would come back
        actions.move(db, booking_id=one.id, slot=hours(3.5, 5.5), version=1, actor_id=one.person_id, now=NOW)
    actions.move(db, booking_id=one.id, slot=hours(5, 6), version=1, actor_id=one.person_id, now=NOW)
    assert (spans(db, one), spans(db, two)) == ([hours(4.75, 6)], [hours(6, 8.5)])


def test_buffers_are_waived_on_the_same_unit_only(db: Session) -> None:
    resource, firm = shared(db, capacity=2), an_organisation(db)
    booked(db, resource, an_organisation(db), hours(5, 6))
    one = booked(db, resource, firm, hours(4, 6))
    two = booked(db, resource, firm, hours(6, 8))
    units = {row.booking_id: row.unit for row in db.scalars(select(Claim).where(Claim.resource_id == resource.id, Claim.active))}
    assert units[one.id] == units[two.id] == 1


def test_a_line_waives_them_on_its_stations_also_on_one_that_joins_later(db: Session) -> None:
    line, firm = shared(db), an_organisation(db)
    station = a_resource(db, parent_id=line.id, institution_id=line.institution_id)
    one, two = booked(db, line, firm, hours(4, 6)), booked(db, line, firm, hours(6, 8))
    late = a_resource(db, parent_id=line.id, institution_id=line.institution_id)
    fit(db, resource_id=late.id, now=NOW)
    assert spans(db, one) == [hours(3.75, 6)] * 3
    assert spans(db, two) == [hours(6, 8.5)] * 3
    with pytest.raises(SlotRefused):
        booked(db, station, an_organisation(db), hours(8, 9))
    cancelled(db, one)
    assert spans(db, two) == [hours(5.75, 8.5)] * 3


def test_a_station_that_leaves_its_line_gives_its_own_bookings_their_buffers_back(db: Session) -> None:
    line, firm = a_resource(db), an_organisation(db)
    station = shared(db, parent_id=line.id, institution_id=line.institution_id)
    booked(db, line, firm, hours(4, 6))
    own = booked(db, station, firm, hours(6, 8))
    assert spans(db, own) == [hours(6, 8.5)]
    station.parent_id = None
    db.flush()
    fit(db, resource_id=station.id, now=NOW)
    assert spans(db, own) == [hours(5.75, 8.5)]
    booked(db, station, firm, hours(3, 5))


def test_an_outage_closes_what_is_left_after_the_buffers_came_back(db: Session) -> None:
    resource, firm = shared(db), an_organisation(db)
    one, two = booked(db, resource, firm, hours(4, 6)), booked(db, resource, firm, hours(6, 8))
    who = one.person_id
    record_outage(db, resource_id=resource.id, slot=hours(2, 12), planned=True, reason="leak", actor_id=who, now=NOW)
    cancelled(db, one)
    assert spans(db, two) == [hours(5.75, 8.5)]
    assert queries.free_time(db, resource.id, within=hours(2, 12), now=NOW) == []


def check(db: Session, resource: Resource, gap: Gap) -> int:
    """No two uses overlap, strangers keep every minute of the gap, what is not waived is claimed. Counts what touches."""
    held: dict[int, set[str]] = defaultdict(set)
    claimed: dict[tuple[str, int], list[Slot]] = defaultdict(list)
    live = select(Claim).where(Claim.resource_id == resource.id, Claim.active).execution_options(populate_existing=True)
    for claim in db.scalars(live):
        held[claim.unit].add(claim.booking_id or "")
        claimed[claim.booking_id or "", claim.unit].append(Slot(claim.starts_at, claim.ends_at))
    between = SETUP + CLEANING if gap is Gap.SUM else max(SETUP, CLEANING)
    touching = 0
    for unit, ids in held.items():
        rows = sorted((db.get_one(Booking, booking_id) for booking_id in ids), key=lambda row: row.starts_at)
        for one, two in pairwise(rows):
            apart = two.starts_at - one.ends_at
            assert apart >= timedelta()
            if one.organisation_id != two.organisation_id:
                assert apart >= between
            touching += apart == timedelta()
        edges = [None, *rows, None]
        for before, row, after in zip(edges, edges[1:], edges[2:], strict=False):
            assert row is not None
            own = claimed[row.id, unit]
            assert all(span.contains(row.slot) for span in own)
            if before is None or row.starts_at - before.ends_at >= between:
                assert min(span.start for span in own) == row.starts_at - SETUP
            if after is None or after.starts_at - row.ends_at >= between:
                assert max(span.end for span in own) == row.ends_at + CLEANING
    return touching


@pytest.mark.parametrize("gap", Gap)
@pytest.mark.parametrize("capacity", [1, 2])
def test_whatever_is_booked_moved_and_cancelled_strangers_keep_their_distance(db: Session, gap: Gap, capacity: int) -> None:
    chance = random.Random(f"{gap}{capacity}")
    touched = 0
    for _ in range(4):
        resource, firms = shared(db, gap, capacity=capacity), [an_organisation(db), an_organisation(db), None]
        live: list[Booking] = []
        for _ in range(40):
            start, firm = chance.randrange(0, 40) / 4, chance.choice(firms)
            slot = hours(start, start + chance.choice([0.25, 0.5, 1, 2]))
            if live and chance.random() < 0.6:  # beside something that is there, mostly of the same customer
                near = chance.choice(live)
                firm = next((one for one in firms if one and one.id == near.organisation_id), None)
                slot = Slot(near.ends_at, near.ends_at + slot.duration)
                if chance.random() < 0.5:
                    slot = Slot(near.starts_at - slot.duration, near.starts_at)
            try:
                if len(live) > 2 and chance.random() < 0.25:
                    cancelled(db, live.pop(chance.randrange(len(live))))
                elif live and chance.random() < 0.3:
                    row = chance.choice(live)
                    actions.move(db, booking_id=row.id, slot=slot, version=row.version, actor_id=row.person_id, now=NOW)
                else:
                    live.append(booked(db, resource, firm, slot))
            except SlotRefused:
                pass
            touched += check(db, resource, gap)
    assert touched > 40


def test_of_many_at_once_beside_their_own_run_one_gets_each_slot(committed_db: sessionmaker[Session]) -> None:
    with committed_db() as session:
        resource, firm = shared(session), an_organisation(session)
        booked(session, resource, firm, hours(4, 6))
        people = [a_person(session).id for _ in range(10)]
        session.commit()
    gate, told = threading.Barrier(10), []

    def ask(number: int) -> None:
        slot = hours(6, 7) if number % 2 else hours(3, 4)
        gate.wait()
        with committed_db() as session:
            try:
                actions.book(session, wish=Wish(resource.id, slot, people[number], firm.id, Category.EXT), now=NOW)
                session.commit()
                told.append("booked")
            except SlotRefused as refused:
                told.append(refused.code)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(told) == ["booked"] * 2 + ["slot_taken"] * 8
    with committed_db() as session:
        assert check(session, resource, Gap.SUM) == 2
