"""Outages that end earlier or are withdrawn: what is behind the end is free, and what is past stays as it was."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from booking import actions, queries
from booking.admission import Wish
from booking.external.tables import ExternalBusy, ExternalCalendar
from booking.outages import ending
from booking.outages.actions import close_what_is_left, record_outage
from booking.outages.queries import outages_to_come
from booking.tables import Booking, Category, Claim, Outage
from booking.waiting import actions as waiting
from booking.waiting.line import WaitingState
from evaluation.facts import Downtime
from evaluation.sources.queries import downtime_of
from marketplace.ids import new_id
from marketplace.refusals import Invalid, NotFound, WrongState
from marketplace.roles import Role
from marketplace.slot import Slot, subtract
from marketplace.tables import AuditEntry, Resource
from tests.builders import a_member, a_person, a_resource, an_organisation
from web import outages
from web.running import audit

NOW = datetime(2026, 3, 9, 1, tzinfo=UTC)
DAY = datetime(2026, 3, 10, tzinfo=UTC)


def at(hour: float) -> datetime:
    return DAY + timedelta(hours=hour)


def hours(start: float, end: float) -> Slot:
    return Slot(at(start), at(end))


def booked(db: Session, resource: Resource, slot: Slot) -> Booking:
    firm = an_organisation(db)
    person = a_member(db, Role.MEMBER, organisation=firm)
    return actions.book(db, wish=Wish(resource.id, slot, person.id, firm.id, Category.EXT), now=NOW)


def closed(db: Session, resource: Resource, slot: Slot, now: datetime = NOW) -> Outage:
    return record_outage(db, resource_id=resource.id, slot=slot, planned=True, reason="leak", actor_id="per_1", now=now)


def ended(db: Session, row: Outage, now: datetime, end: datetime | None = None) -> Outage:
    return ending.end_outage(db, outage_id=row.id, end=end, actor_id="per_1", now=now)[0]


def withdrawn(db: Session, row: Outage, now: datetime = NOW) -> None:
    ending.withdraw_outage(db, outage_id=row.id, actor_id="per_1", now=now)


def free(db: Session, resource: Resource, slot: Slot, now: datetime = NOW) -> list[Slot]:
    return list(queries.free_time(db, resource.id, within=slot, now=now))


def claims(db: Session, row: Outage) -> list[tuple[int, Slot]]:
    held = select(Claim).where(Claim.outage_id == row.id, Claim.active).order_by(Claim.unit, Claim.starts_at)
    return [(one.unit, one.slot) for one in db.scalars(held)]


def downtime(db: Session, resource: Resource, slot: Slot) -> list[tuple[int, int, Downtime]]:
    """What the evaluation reads, cut to `slot`."""
    first, last = int(slot.start.timestamp()), int(slot.end.timestamp())
    rows = downtime_of(db, [resource.id], within=slot)[resource.id]
    return [(max(one.start, first), min(one.end, last), one.kind) for one in rows]


def test_what_is_over_frees_the_time_behind_and_keeps_the_past(db: Session) -> None:
    resource = a_resource(db, capacity=2)
    kept = booked(db, resource, hours(3, 4))
    outage = closed(db, resource, hours(2, 12))
    past = downtime(db, resource, hours(0, 6))
    row = ended(db, outage, at(6) - timedelta(seconds=20))
    assert (row.slot, row.ended_at) == (hours(2, 6), at(6) - timedelta(seconds=20))
    assert claims(db, row) == [(0, hours(2, 3)), (0, hours(4, 6)), (1, hours(2, 6))]
    assert free(db, resource, hours(2, 14), at(6)) == [hours(6, 14)]
    assert downtime(db, resource, hours(0, 6)) == past == [(int(at(2).timestamp()), int(at(6).timestamp()), Downtime.PLANNED)]
    assert downtime(db, resource, hours(6, 24)) == []
    assert kept.slot == hours(3, 4)
    entry = db.scalars(select(AuditEntry).where(AuditEntry.action == "end_outage")).one()
    assert entry.before
    assert entry.after
    assert (entry.object_id, entry.actor_id) == (resource.id, "per_1")
    assert (entry.before["end"], entry.after["end"]) == (at(12).isoformat(), at(6).isoformat())
    with pytest.raises(WrongState) as again:
        ended(db, row, at(6))
    assert again.value.values["state"] == "over"


def test_it_may_end_at_an_earlier_time_to_come_and_earlier_still(db: Session) -> None:
    resource = a_resource(db)
    outage = closed(db, resource, Slot(at(2), datetime(2099, 1, 1, tzinfo=UTC)))
    assert ended(db, outage, NOW, at(9)).slot == hours(2, 9)
    assert free(db, resource, hours(0, 20)) == [hours(0, 2), hours(9, 20)]
    assert ended(db, outage, at(3), at(5)).slot == hours(2, 5)
    assert ended(db, outage, at(4)).slot == hours(2, 4)
    assert free(db, resource, hours(0, 20), at(4)) == [hours(4, 20)]


def test_what_was_unplanned_stays_so(db: Session) -> None:
    resource = a_resource(db)
    late = closed(db, resource, hours(2, 9), at(3))
    ended(db, late, at(4))
    start, end = int(at(2).timestamp()), int(at(4).timestamp())
    assert downtime(db, resource, hours(0, 24)) == [(start, end, Downtime.UNPLANNED)]


@pytest.mark.parametrize(
    ("end", "why"),
    [(4.9, "is past, and"), (2, "is past, and"), (9, "another outage"), (9.5, "another outage")],
)
def test_neither_the_past_is_changed_nor_an_outage_lengthened(db: Session, end: float, why: str) -> None:
    resource = a_resource(db)
    outage = closed(db, resource, hours(2, 9))
    with pytest.raises(Invalid, match=why):
        ended(db, outage, at(5), at(end))
    assert claims(db, outage) == [(0, hours(2, 9))]
    assert outage.ended_at is None


def test_one_to_come_is_withdrawn_or_ends_after_its_start_and_one_that_began_is_not_withdrawn(db: Session) -> None:
    resource = a_resource(db)
    outage = closed(db, resource, hours(2, 9))
    with pytest.raises(WrongState, match="not_begun"):
        ended(db, outage, at(2))
    with pytest.raises(Invalid, match="not after start"):
        ended(db, outage, at(1), at(2))
    with pytest.raises(WrongState, match="begun"):
        withdrawn(db, outage, at(2.5))
    with pytest.raises(WrongState, match="over"):
        withdrawn(db, outage, at(9))
    withdrawn(db, outage, at(2))
    assert free(db, resource, hours(2, 9), at(2)) == [hours(2, 9)]
    assert downtime(db, resource, hours(0, 24)) == []
    assert outages_to_come(db, resource.id, now=NOW, limit=9) == []
    entry = db.scalars(select(AuditEntry).where(AuditEntry.action == "withdraw_outage")).one()
    assert entry.before
    assert entry.before["reason"] == "leak"
    assert entry.after is None
    with pytest.raises(NotFound):
        withdrawn(db, outage)


def test_in_its_last_minute_it_is_over_by_itself(db: Session) -> None:
    outage = closed(db, a_resource(db), hours(2, 3))
    with pytest.raises(WrongState, match="over"):
        ended(db, outage, at(3) - timedelta(seconds=10))


def test_what_another_outage_or_a_calendar_calls_its_own_stays_closed(db: Session) -> None:
    resource = a_resource(db)
    first, second = closed(db, resource, hours(2, 9)), closed(db, resource, hours(5, 12))
    calendar = ExternalCalendar(
        id=new_id("xcl"), resource_id=resource.id, institution_id=resource.institution_id, name="Outlook", body=b"x", entries=1,
        created_at=NOW, created_by=a_person(db).id, run_at=NOW,
    )  # fmt: skip
    db.add(calendar)
    db.flush()
    db.add(ExternalBusy(id=new_id("xbz"), calendar_id=calendar.id, resource_id=resource.id, starts_at=at(3), ends_at=at(4)))
    db.flush()
    close_what_is_left(db, resource_id=resource.id, around=hours(3, 4))
    withdrawn(db, first)
    assert claims(db, second) == [(0, hours(5, 9)), (0, hours(9, 12))]
    assert free(db, resource, hours(1, 14)) == [hours(1, 3), hours(4, 5), hours(12, 14)]


def test_a_part_that_is_whole_again_frees_the_line_above_it(db: Session) -> None:
    line = a_resource(db)
    station = a_resource(db, parent_id=line.id, institution_id=line.institution_id)
    outage = closed(db, station, hours(2, 9))
    assert free(db, line, hours(0, 10)) == [hours(0, 2), hours(9, 10)]
    ended(db, outage, NOW, at(4))
    assert free(db, line, hours(0, 10)) == [hours(0, 2), hours(4, 10)]


@pytest.mark.parametrize("way", ["end", "withdraw"])
def test_freed_time_is_offered_to_who_waits(db: Session, way: str) -> None:
    resource = a_resource(db)
    outage = closed(db, resource, hours(2, 9))
    firm = an_organisation(db)
    person = a_member(db, Role.MEMBER, organisation=firm)
    entry = waiting.join(db, wish=Wish(resource.id, hours(6, 8), person.id, firm.id, Category.EXT), length=None, now=NOW)
    if way == "end":
        outages.end_outage(db, outage_id=outage.id, end=at(4), actor_id="per_1", now=NOW)
    else:
        outages.withdraw_outage(db, outage_id=outage.id, actor_id="per_1", now=NOW)
    assert (entry.state, entry.offer) == (WaitingState.OFFERED, hours(6, 8))
    assert audit(db) == []


@pytest.mark.parametrize("seed", range(8))
def test_the_law_of_ends_behind_them_is_free_what_nothing_else_holds_and_the_past_is_as_it_was(db: Session, seed: int) -> None:
    """Any bookings, any overlapping outages, any ends and withdrawals as time goes by."""
    dice, resource = random.Random(seed), a_resource(db)
    bookings = [booked(db, resource, hours(start, start + 1)).slot for start in sorted(dice.sample(range(0, 40, 2), 5))]
    known = {}
    for _ in range(5):
        start = dice.randrange(40)
        row = closed(db, resource, hours(start, start + dice.randrange(1, 20)))
        known[row.id] = row.slot
    for hour in sorted(dice.sample(range(1, 45), 12)):
        now, key = at(hour), dice.choice(sorted(known) or [""])
        if not key:
            break
        before = downtime(db, resource, Slot(DAY, now))
        slot = known[key]
        if now <= slot.start and dice.random() < 0.5:
            ending.withdraw_outage(db, outage_id=key, actor_id="per_1", now=now)
            del known[key]
        elif slot.end > (end := max(now, slot.start) + timedelta(hours=dice.randrange(1, 5))):
            ending.end_outage(db, outage_id=key, end=end, actor_id="per_1", now=now)
            known[key] = Slot(slot.start, end)
        elif slot.start < now < slot.end:
            ending.end_outage(db, outage_id=key, end=None, actor_id="per_1", now=now)
            known[key] = Slot(slot.start, now)
        assert downtime(db, resource, Slot(DAY, now)) == before
        held = queries.taken(db, [resource.id], within=hours(0, 70)).get(resource.id, ())
        left = subtract([hours(0, 70)], [claim.slot for claim in held])
        assert left == subtract([hours(0, 70)], [*bookings, *known.values()])
    assert audit(db) == []
