"""A series where buffers are waived is what the same slots are, booked one after the other; and is judged as fast."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from time import process_time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, func, select
from sqlalchemy.orm import Session

from booking import actions
from booking.actions import CancelledBy
from booking.admission import SlotRefused, Wish
from booking.beside import actions as beside
from booking.occupancy import Gap
from booking.outages.actions import record_outage
from booking.places import lock_place
from booking.rules.actions import Further, RuleSet, set_rules
from booking.series import ending
from booking.series.actions import SeriesRefused, book_series
from booking.series.edits import Change, Editor, edit_series
from booking.tables import Booking, Category, Claim, OnConflict
from marketplace.slot import Slot
from marketplace.tables import Organisation, Resource
from tests.builders import a_person, a_resource, an_organisation
from web.running import audit

NOW = datetime(2026, 3, 9, 1, tzinfo=UTC)
DAY = datetime(2026, 3, 10, tzinfo=UTC)
DAILY = "FREQ=DAILY;COUNT={}"
Row = tuple[str, int, int, datetime, datetime, bool, str]


def hours(start: float, end: float) -> Slot:
    return Slot(DAY + timedelta(hours=start), DAY + timedelta(hours=end))


def a_place(db: Session, gap: Gap, **values: int) -> Resource:
    resource = a_resource(db, timezone="UTC", **values)
    rules = RuleSet(setup_min=15, cleaning_min=30, buffer_mode=gap, horizon_days=730)
    set_rules(db, resource_id=resource.id, rules=rules, further=Further(waive_own_buffers=True), actor_id=None, now=NOW)
    return resource


def wish(resource: Resource, who: str, firm: Organisation | None, slot: Slot) -> Wish:
    return Wish(resource.id, slot, who, firm.id if firm else None, Category.EXT)


def claims(db: Session, resource: Resource, names: dict[str, str]) -> list[Row]:
    """Every claim that is active, by the place of its booking among all."""
    rows = select(Claim).where(Claim.resource_id == resource.id, Claim.active).execution_options(populate_existing=True)
    return sorted(
        (names.get(one.booking_id or "", ""), one.unit, one.lane, one.starts_at, one.ends_at, one.active, one.kind.value)
        for one in db.scalars(rows)
    )


def names_of(db: Session, resource: Resource) -> dict[str, str]:
    """Bookings by what they are, which two worlds that should be equal share."""
    rows = db.scalars(select(Booking).where(Booking.resource_id == resource.id).execution_options(populate_existing=True))
    return {row.id: f"{row.starts_at} {row.ends_at} {row.organisation_id} {row.state.value}" for row in rows}


class World:
    """Two resources on which the same is booked before: one is for a series, the other for its slots one by one."""

    def __init__(self, db: Session, gap: Gap, capacity: int) -> None:
        self.db, self.who = db, a_person(db).id
        self.firms = [an_organisation(db), an_organisation(db), None]
        self.pair = [a_place(db, gap, capacity=capacity) for _ in range(2)]
        self.first: list[list[Booking]] = [[], []]

    def before(self, firm: int, slot: Slot) -> None:
        for made, resource in zip(self.first, self.pair, strict=True):
            with suppress(SlotRefused):
                made.append(actions.book(self.db, wish=wish(resource, self.who, self.firms[firm], slot), now=NOW))

    def close(self, slot: Slot) -> None:
        for resource in self.pair:
            record_outage(self.db, resource_id=resource.id, slot=slot, planned=True, reason="x", actor_id=self.who, now=NOW)

    def same(self) -> None:
        one, other = (claims(self.db, resource, names_of(self.db, resource)) for resource in self.pair)
        assert one == other


quarters = st.integers(0, 95).map(lambda quarter: quarter / 4)
lengths = st.sampled_from([0.5, 1, 6, 23.25, 23.5, 23.75, 24])
befores = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4), quarters, st.sampled_from([0.25, 0.5, 1, 3])), max_size=6)
neighbours = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4), st.booleans(), st.sampled_from([0.25, 0.5])), max_size=4)


@pytest.mark.laws
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.sampled_from(Gap), st.integers(1, 2), befores, neighbours, st.integers(0, 2), quarters, lengths, st.booleans())
def test_a_series_claims_what_its_slots_claim_one_after_the_other(
    db: Session,
    gap: Gap,
    capacity: int,
    befores: list[tuple[int, int, float, float]],
    neighbours: list[tuple[int, int, bool, float]],
    firm: int,
    start: float,
    length: float,
    closed: bool,
) -> None:
    world, slot = World(db, gap, capacity), hours(start, start + length)
    for whose, day, at, long in befores:
        world.before(whose, hours(24 * day + at, 24 * day + at + long))
    for whose, day, ahead, long in neighbours:
        core = slot.shift(timedelta(days=day))
        edge = core.start - timedelta(hours=long) if ahead else core.end
        world.before(whose, Slot(edge, edge + timedelta(hours=long)))
    if closed:
        world.close(hours(20, 60))
    together, alone = world.pair
    first = wish(together, world.who, world.firms[firm], slot)
    made, gaps = [], 0
    try:
        with db.begin_nested():
            done = book_series(db, wish=first, rrule=DAILY.format(5), on_conflict=OnConflict.SKIP, now=NOW)
        made, gaps = list(done.bookings), len(done.gaps)
    except SeriesRefused:
        gaps = 5
    single = []
    for day in range(5):
        with suppress(SlotRefused):
            at = wish(alone, world.who, world.firms[firm], slot.shift(timedelta(days=day)))
            single.append(actions.book(db, wish=at, now=NOW))
    assert (len(made), gaps) == (len(single), 5 - len(single))
    world.same()
    _leaves_the_same(db, world, made, single)


def _leaves_the_same(db: Session, world: World, made: list[Booking], single: list[Booking]) -> None:
    """Ended together or one by one, what was before has its buffers back."""
    lock_place(db, world.pair[0].id)
    ending.cancel_together(db, bookings=made, by_customer={one.id for one in made}, actor_id=world.who, now=NOW)
    for one in single:
        actions.cancel(db, booking_id=one.id, by=CancelledBy.CUSTOMER, actor_id=world.who, now=NOW)
    world.same()


def test_a_series_around_the_clock_waives_its_own_buffers(db: Session) -> None:
    resource, who, firm = a_place(db, Gap.SUM), a_person(db).id, an_organisation(db)
    made = book_series(
        db, wish=wish(resource, who, firm, hours(0, 24)), rrule=DAILY.format(3), on_conflict=OnConflict.REFUSE, now=NOW
    )
    spans = [(one.starts_at, one.ends_at) for one in db.scalars(select(Claim).order_by(Claim.starts_at))]
    assert spans == [
        (DAY - timedelta(minutes=15), DAY + timedelta(hours=24)),
        (DAY + timedelta(hours=24), DAY + timedelta(hours=48)),
        (DAY + timedelta(hours=48), DAY + timedelta(hours=72, minutes=30)),
    ]
    db.flush()
    beside.leave_all(db, made.bookings[1:2])
    kept = select(Claim).where(Claim.active).order_by(Claim.starts_at).execution_options(populate_existing=True)
    assert [(one.starts_at, one.ends_at) for one in db.scalars(kept)] == [
        (DAY - timedelta(minutes=15), DAY + timedelta(hours=24, minutes=30)),
        (DAY + timedelta(hours=47, minutes=45), DAY + timedelta(hours=72, minutes=30)),
    ]


def test_many_are_booked_edited_and_ended_in_as_many_statements_as_few(db: Session) -> None:
    asked: list[str] = []
    event.listen(db.get_bind(), "before_cursor_execute", lambda *told: asked.append(told[2]))
    resource, who, firm = a_place(db, Gap.SUM), a_person(db).id, an_organisation(db)
    counts, took = [], []
    for number, count in enumerate((20, 400)):
        slot = hours(3 * number, 3 * number + 1)
        asked.clear()
        started = process_time()
        made = book_series(
            db, wish=wish(resource, who, firm, slot), rrule=DAILY.format(count), on_conflict=OnConflict.REFUSE, now=NOW
        )
        db.flush()
        booked = len(asked)
        later = Change(None, slot.shift(timedelta(minutes=15)), None, OnConflict.REFUSE)
        mine = Editor(who, {one.id for one in made.bookings}, CancelledBy.CUSTOMER)
        edit_series(db, series_id=made.series.id, version=1, change=later, editor=mine, now=NOW)
        counts.append((booked, len(asked) - booked))
        took.append(process_time() - started)
    assert counts[1][0] < counts[0][0] + 10
    assert took[1] < 40 * took[0]
    assert db.scalar(select(func.count()).select_from(Claim).where(Claim.active)) == 420
    assert audit(db) == []
