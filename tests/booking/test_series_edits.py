"""Edits of series: this one, this and the following, all; whole or with gaps; and gaps that are booked later."""

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from booking import actions
from booking.actions import CancelledBy
from booking.lines.actions import share
from booking.recurrence import Skipped, occurrences
from booking.rules.actions import Further, RuleSet, set_rules
from booking.series.actions import Outcome, SeriesRefused
from booking.series.edits import Change, Edited, Editor, edit_series
from booking.series.gaps import fill_gaps
from booking.series.pattern import following, wall
from booking.series.queries import bookings_of, moved_from
from booking.states import BookingState
from booking.tables import Approval, Booking, BookingSeries, Claim, OnConflict
from marketplace.refusals import Invalid, NotFound, Stale, WrongState
from marketplace.roles import Role
from marketplace.slot import Slot
from marketplace.tables import AuditEntry, Institution, Message
from tests.booking.test_series import NOW, Asks, at
from tests.builders import a_member, a_resource, a_rule_version
from web.running import audit

REFUSE, SKIP = OnConflict.REFUSE, OnConflict.SKIP


@dataclass
class Edits(Asks):
    """The customer with a weekly series of eight from 14 March 2027, two Sundays before the clocks go forward."""

    def __init__(self, db: Session, rrule: str = "FREQ=WEEKLY;COUNT=8", **values: object) -> None:
        super().__init__(db, **values)
        self.made: Outcome = self.series(at("2027-03-14"), rrule)

    @property
    def rows(self) -> list[Booking]:
        return list(self.made.bookings)

    def edit(
        self,
        slot: Slot,
        *,
        since: Booking | None = None,
        rrule: str | None = None,
        on_conflict: OnConflict = REFUSE,
        series: BookingSeries | None = None,
        version: int | None = None,
        by: CancelledBy = CancelledBy.CUSTOMER,
        now: datetime = NOW,
    ) -> Edited:
        found = series or self.made.series
        self.db.refresh(found)
        return edit_series(
            self.db,
            series_id=found.id,
            version=found.version if version is None else version,
            change=Change(since.id if since else None, slot, rrule, on_conflict),
            editor=Editor(self.person, {one.id for one in bookings_of(self.db, found.id)}, by),
            now=now,
        )

    def slots(self, series: BookingSeries | None = None) -> list[Slot]:
        """Of the bookings that stand, in order."""
        found = bookings_of(self.db, (series or self.made.series).id)
        return [one.slot for one in found if one.state in {BookingState.CONFIRMED, BookingState.REQUESTED}]


@pytest.fixture
def ask(db: Session) -> Edits:
    return Edits(db)


def days(*named: str) -> list[str]:
    return [f"2027-{day}" for day in named]


def test_this_and_the_following_become_a_series_of_their_own_on_the_wall_clock(db: Session, ask: Edits) -> None:
    edited = ask.edit(at("2027-03-28", "10:00", "13:00"), since=ask.rows[2])
    later = days("03-28", "04-04", "04-11", "04-18", "04-25", "05-02")
    assert [one.id for one in edited.moved] == [one.id for one in ask.rows[2:]]
    assert ask.slots(edited.series) == [at(day, "10:00", "13:00") for day in later]
    assert ask.slots() == [at("2027-03-14"), at("2027-03-21")]
    assert (ask.made.series.rrule, edited.series.rrule) == ("FREQ=WEEKLY;COUNT=2", "FREQ=WEEKLY;COUNT=6")
    assert edited.series.split_from == ask.made.series.id
    assert sorted(db.scalars(select(Message.kind))) == ["series_booked", "series_changed"]
    moves = select(func.count()).select_from(AuditEntry).where(AuditEntry.action == "move")
    assert db.scalar(moves) == 6
    assert audit(db) == []


def test_all_that_are_ahead_change_and_what_is_past_does_not(db: Session, ask: Edits) -> None:
    now = at("2027-03-22").start
    edited = ask.edit(at("2027-03-29", "08:00", "09:00"), now=now)
    assert edited.series is ask.made.series
    assert ask.slots()[:4] == [at("2027-03-14"), at("2027-03-21"), *(at(d, "08:00", "09:00") for d in days("03-29", "04-05"))]
    assert len(ask.slots()) == 8
    assert audit(db) == []


def test_an_edit_does_not_stand_in_its_own_way(db: Session, ask: Edits) -> None:
    ask.rules(cleaning_min=60, setup_min=60)
    ask.edit(at("2027-03-14", "10:00", "12:00"))
    assert ask.slots()[0] == at("2027-03-14", "10:00", "12:00")
    ask.edit(at("2027-03-21", "10:00", "12:00"))
    assert ask.slots()[0] == at("2027-03-21", "10:00", "12:00")
    held = db.scalars(select(Claim).where(Claim.active)).all()
    assert len(held) == 8
    assert audit(db) == []


def test_one_that_cannot_be_had_refuses_all_and_nothing_is_changed(db: Session, ask: Edits) -> None:
    ask.alone(at("2027-04-12", "10:00", "12:00"))
    with pytest.raises(SeriesRefused) as caught:
        ask.edit(at("2027-03-15"))
    assert caught.value.code == "slot_taken"
    assert [one.values["start"] for one in caught.value.reasons] == [at("2027-04-12").start.isoformat()]
    assert ask.slots() == [at(d) for d in days("03-14", "03-21", "03-28", "04-04", "04-11", "04-18", "04-25", "05-02")]
    assert ask.made.series.version == 1
    assert audit(db) == []
    for first in caught.value.alternatives:
        with db.begin_nested() as undone:
            assert len(ask.edit(first).moved) == 8
            undone.rollback()
    assert caught.value.alternatives


def test_with_gaps_skipped_what_cannot_be_had_ends_and_is_addable_later(db: Session, ask: Edits) -> None:
    rival = ask.alone(at("2027-04-12", "10:00", "12:00"))
    edited = ask.edit(at("2027-03-15"), on_conflict=SKIP)
    assert [one.id for one in edited.ended] == [ask.rows[4].id]
    assert [gap.slot for gap in edited.gaps] == [at("2027-04-12")]
    assert len(ask.slots()) == 7
    with pytest.raises(SeriesRefused):
        fill_gaps(db, series_id=ask.made.series.id, starts=None, actor_id=ask.person, now=NOW)
    actions.cancel(db, booking_id=rival.id, by=CancelledBy.CUSTOMER, actor_id=ask.person, now=NOW)
    filled = fill_gaps(db, series_id=ask.made.series.id, starts=None, actor_id=ask.person, now=NOW)
    assert [one.slot for one in filled.bookings] == [at("2027-04-12")]
    assert ask.made.series.gaps == []
    assert len(ask.slots()) == 8
    with pytest.raises(WrongState):
        fill_gaps(db, series_id=ask.made.series.id, starts=None, actor_id=ask.person, now=NOW)
    kinds = db.scalars(select(Message.kind).where(Message.kind.startswith("series_"))).all()
    assert sorted(kinds) == ["series_booked", "series_cancelled", "series_changed", "series_changed"]
    assert audit(db) == []


def test_chosen_gaps_are_tried_alone(db: Session, ask: Edits) -> None:
    for day in days("06-07", "06-21"):
        ask.alone(at(day))
    made = ask.series(at("2027-06-07"), "FREQ=WEEKLY;COUNT=4", SKIP)
    for row in db.scalars(select(Booking).where(Booking.series_id.is_(None))).all():
        actions.cancel(db, booking_id=row.id, by=CancelledBy.CUSTOMER, actor_id=ask.person, now=NOW)
    with pytest.raises(Invalid):
        fill_gaps(db, series_id=made.series.id, starts=[at("2027-06-14").start], actor_id=ask.person, now=NOW)
    chosen = [at("2027-06-21").start]
    filled = fill_gaps(db, series_id=made.series.id, starts=chosen, actor_id=ask.person, now=NOW)
    assert [one.slot for one in filled.bookings] == [at("2027-06-21")]
    assert [gap["start"] for gap in made.series.gaps] == [at("2027-06-07").start.isoformat()]


def test_gaps_move_along_and_are_tried_again_without_refusing_the_rest(db: Session) -> None:
    ask = Edits(db)
    ask.alone(at("2027-06-13"))
    made = ask.series(at("2027-06-06"), "FREQ=WEEKLY;COUNT=3", SKIP)
    ask.alone(at("2027-06-14"))
    edited = ask.edit(at("2027-06-07"), series=made.series)
    assert [gap.slot for gap in edited.gaps] == [at("2027-06-14")]
    edited = ask.edit(at("2027-06-07", "12:00", "13:00"), series=made.series)
    assert [one.slot for one in edited.added] == [at("2027-06-14", "12:00", "13:00")]
    assert made.series.gaps == []
    assert audit(db) == []


def test_a_new_rule_says_what_is_from_there_on(db: Session, ask: Edits) -> None:
    edited = ask.edit(at("2027-04-04"), since=ask.rows[3], rrule="FREQ=WEEKLY;BYDAY=SU,WE;COUNT=3")
    assert ask.slots(edited.series) == [at(d) for d in days("04-04", "04-07", "04-11")]
    assert {one.id for one in edited.moved} == {ask.rows[3].id, ask.rows[4].id, ask.rows[5].id}
    assert {one.id for one in edited.ended} == {ask.rows[6].id, ask.rows[7].id}
    edited = ask.edit(at("2027-04-04"), series=edited.series, rrule="FREQ=WEEKLY;COUNT=6")
    assert len(edited.added) == 3
    assert len(ask.slots(edited.series)) == 6
    assert audit(db) == []


def test_days_that_the_rule_cannot_say_need_a_rule_of_their_own(db: Session) -> None:
    ask = Edits(db, "FREQ=MONTHLY;BYDAY=2SU;COUNT=4")
    with pytest.raises(Invalid):
        ask.edit(at("2027-03-15"))
    assert ask.edit(at("2027-03-14", "14:00", "15:00")).series.rrule == "FREQ=MONTHLY;BYDAY=2SU;COUNT=4"


def test_one_that_was_moved_alone_stays_in_its_series_and_comes_back_with_an_edit(db: Session, ask: Edits) -> None:
    moved = ask.rows[2]
    actions.move(db, booking_id=moved.id, slot=at("2027-03-30"), version=1, actor_id=ask.person, now=NOW)
    actions.move(db, booking_id=moved.id, slot=at("2027-03-31"), version=2, actor_id=ask.person, now=NOW)
    assert moved.series_id == ask.made.series.id
    assert moved_from(db, ask.made.series.id) == {moved.id: at("2027-03-28")}
    with pytest.raises(Stale):
        ask.edit(at("2027-03-14", "10:00", "12:00"), version=1)
    ask.edit(at("2027-03-28", "10:00", "12:00"), since=moved)
    assert moved.slot == at("2027-03-28", "10:00", "12:00")
    assert moved_from(db, moved.series_id) == {}
    assert audit(db) == []


def test_cancelled_ones_stay_cancelled(db: Session, ask: Edits) -> None:
    actions.cancel(db, booking_id=ask.rows[3].id, by=CancelledBy.CUSTOMER, actor_id=ask.person, now=NOW)
    assert len(ask.edit(at("2027-03-14", "10:00", "12:00")).moved) == 7
    assert ask.rows[3].slot == at("2027-04-04")
    with pytest.raises(WrongState):
        ask.edit(at("2027-04-04", "11:00", "12:00"), since=ask.rows[3])


def test_what_is_not_ahead_cannot_be_edited(ask: Edits) -> None:
    with pytest.raises(WrongState):
        ask.edit(at("2027-03-14", "10:00", "12:00"), since=ask.rows[0], now=at("2027-03-15").start)
    with pytest.raises(WrongState):
        ask.edit(at("2028-03-14"), now=at("2027-12-01").start)
    with pytest.raises(NotFound):
        ask.edit(at("2027-03-14"), since=Booking(id="bk_of_nobody"))


def test_every_rule_holds_and_a_customers_edit_needs_a_new_yes(db: Session, ask: Edits) -> None:
    manager = a_member(db, Role.MANAGER, institution=db.get(Institution, ask.resource.institution_id))
    ask.rules(max_min=180, approval=Approval.REQUEST)
    with pytest.raises(SeriesRefused) as caught:
        ask.edit(at("2027-03-14", "10:00", "14:00"))
    assert {one.code for one in caught.value.reasons} == {"too_long"}
    edited = ask.edit(at("2027-03-14", "10:00", "12:00"))
    assert {one.state for one in edited.moved} == {BookingState.REQUESTED}
    assert db.scalars(select(Message.kind).where(Message.person_id == manager.id)).all() == ["request_to_decide"]
    assert {kind.value for kind in db.scalars(select(Claim.kind).where(Claim.active))} == {"request"}
    edited = ask.edit(at("2027-03-14", "11:00", "12:00"), by=CancelledBy.PROVIDER)
    assert {one.state for one in edited.moved} == {BookingState.REQUESTED}


def test_quotas_count_what_the_edit_leaves_not_what_it_takes_away(db: Session, ask: Edits) -> None:
    quotas = Further(quotas=[{"limit": 2, "unit": "hours", "per": "week", "by": "organisation"}])
    set_rules(db, resource_id=ask.resource.id, rules=RuleSet(), further=quotas, actor_id=None, now=NOW)
    assert len(ask.edit(at("2027-03-14", "10:00", "12:00")).moved) == 8
    with pytest.raises(SeriesRefused) as caught:
        ask.edit(at("2027-03-14", "10:00", "12:30"))
    assert {one.code for one in caught.value.reasons} == {"over_quota_hours"}


def test_an_hour_that_is_skipped_is_a_gap(db: Session, ask: Edits) -> None:
    edited = ask.edit(at("2027-03-14", "02:30", "04:00"), on_conflict=SKIP)
    assert [[one.code for one in gap.reasons] for gap in edited.gaps] == [["no_such_time"]]
    edited = ask.edit(at("2027-03-14", "05:00", "06:00"))
    assert [one.slot for one in edited.added] == [at("2027-03-28", "05:00", "06:00")]
    assert audit(db) == []


@settings(max_examples=60)
@given(
    rrule=st.sampled_from(["FREQ=WEEKLY", "FREQ=WEEKLY;BYDAY=SU,WE", "FREQ=DAILY;INTERVAL=3", "FREQ=MONTHLY"]),
    count=st.integers(2, 30),
    cut=st.integers(0, 29),
    by=st.integers(-3, 3),
    hours=st.integers(-5, 5),
)
def test_a_shifted_series_is_the_old_one_on_a_shifted_wall_clock(rrule: str, count: int, cut: int, by: int, hours: int) -> None:
    zone = ZoneInfo("Europe/Berlin")
    old = occurrences(f"{rrule};COUNT={count}", at("2027-03-14"), zone)
    places = old[min(cut, count - 1) :]
    shift = timedelta(days=by, hours=hours)
    start = (wall(places[0], zone) + shift).replace(tzinfo=zone)
    first = Slot(start.astimezone(UTC), start.astimezone(UTC) + timedelta(hours=2))
    try:
        _, new = following(f"{rrule};COUNT={count}", places, first, zone)
    except Invalid:
        assert by
        return
    assert [wall(one, zone) - shift for one in new] == [wall(one, zone) for one in places]
    assert not any(isinstance(one, Skipped) for one in new)


@pytest.mark.laws
def test_a_thousand_occurrences_are_edited_in_two_seconds(committed_db: sessionmaker[Session]) -> None:
    with committed_db.begin() as session:
        ask = Edits(session, "FREQ=WEEKLY;COUNT=1")
        a_rule_version(session, ask.resource, number=2, horizon_days=1100, setup_min=15, cleaning_min=15)
        for day in range(60):
            ask.alone(at("2027-03-02", "16:00", "17:00").shift(timedelta(days=day)))
        made = ask.series(at("2027-03-15"), "FREQ=DAILY;COUNT=1000")
    took = min(_seconds_to_edit(committed_db, made.series.id, ask.person, hour) for hour in (10, 11, 12))
    assert took < 2, took


def _seconds_to_edit(sessions: sessionmaker[Session], series_id: str, person: str, hour: int) -> float:
    """For all thousand at once, in one transaction: of work, as a busy machine says nothing of it."""
    with sessions() as session:
        held = {one.id for one in bookings_of(session, series_id)}
        version = session.get_one(BookingSeries, series_id).version
        session.expunge_all()
        change = Change(None, at("2027-03-15", f"{hour}:00", f"{hour + 2}:00"), None, SKIP)
        editor = Editor(person, held, CancelledBy.CUSTOMER)
        started = time.process_time()
        edited = edit_series(session, series_id=series_id, version=version, change=change, editor=editor, now=NOW)
        session.commit()
        took = time.process_time() - started
        assert len(edited.moved) == 1000
        assert audit(session) == []
    return took


def test_own_buffers_are_waived_towards_the_new_neighbours_and_come_back_to_the_old(db: Session, ask: Edits) -> None:
    waived = Further(waive_own_buffers=True)
    rules = RuleSet(cleaning_min=60)
    set_rules(db, resource_id=ask.resource.id, rules=rules, further=waived, actor_id=None, now=NOW)
    before = ask.alone(at("2027-03-15", "07:00", "09:00"))
    ask.edit(at("2027-03-15"))
    assert _ends(db, before) == [at("2027-03-15").start]
    ask.edit(at("2027-03-15", "12:00", "13:00"))
    assert _ends(db, before) == [at("2027-03-15", "09:00", "10:00").end]
    assert audit(db) == []


def test_what_another_machine_gave_up_on_a_shared_part_comes_back_to_it(db: Session, ask: Edits) -> None:
    house = db.get_one(Institution, ask.resource.institution_id)
    pump, other = a_resource(db, institution=house), a_resource(db, institution=house)
    for machine in (ask.resource, other):
        share(db, resource_id=machine.id, part_ids=[pump.id], actor_id="per_1", now=NOW)
    waived = Further(waive_own_buffers=True)
    set_rules(db, resource_id=other.id, rules=RuleSet(setup_min=60), further=waived, actor_id=None, now=NOW)
    wish = replace(ask.wish(at("2027-03-14", "11:00", "12:00")), resource_id=other.id)
    beside = actions.book(db, wish=wish, now=NOW)
    on_the_pump = select(Claim.starts_at).where(Claim.booking_id == beside.id, Claim.resource_id == pump.id, Claim.active)
    assert db.scalars(on_the_pump).all() == [at("2027-03-14", "11:00", "12:00").start]
    ask.edit(at("2027-03-14", "14:00", "16:00"))
    assert db.scalars(on_the_pump).all() == [at("2027-03-14", "10:00", "12:00").start]
    assert audit(db) == []


def test_a_time_that_the_clocks_leave_out_is_not_tried_again(db: Session) -> None:
    ask = Asks(db)
    made = ask.series(at("2027-03-27", "02:30", "04:00"), "FREQ=DAILY;COUNT=3", SKIP)
    with pytest.raises(WrongState):
        fill_gaps(db, series_id=made.series.id, starts=None, actor_id=ask.person, now=NOW)
    with pytest.raises(Invalid):
        fill_gaps(db, series_id=made.series.id, starts=[made.gaps[0].slot.start], actor_id=ask.person, now=NOW)


def test_gaps_that_are_tried_again_take_nothing_from_what_was_booked(db: Session) -> None:
    ask, other = Asks(db), Asks(db)
    quota = {"limit": 6, "unit": "hours", "per": "week", "by": "organisation"}
    set_rules(db, resource_id=ask.resource.id, rules=RuleSet(), further=Further(quotas=[quota]), actor_id=None, now=NOW)
    actions.book(db, wish=replace(other.wish(at("2027-04-06")), resource_id=ask.resource.id), now=NOW)
    made = ask.series(at("2027-04-05", "09:00", "10:00"), "FREQ=DAILY;COUNT=3", SKIP)
    change = Change(None, at("2027-04-05", "14:00", "17:00"), None, REFUSE)
    editor = Editor(ask.person, {one.id for one in made.bookings}, CancelledBy.CUSTOMER)
    edited = edit_series(db, series_id=made.series.id, version=made.series.version, change=change, editor=editor, now=NOW)
    assert [one.slot for one in edited.moved] == [at("2027-04-05", "14:00", "17:00"), at("2027-04-07", "14:00", "17:00")]
    assert [[one.code for one in gap.reasons] for gap in edited.gaps] == [["over_quota_hours"]]
    assert audit(db) == []


def test_a_series_whose_first_times_were_never_had_stays_whole_from_its_first_booking_on(db: Session) -> None:
    ask, other = Asks(db), Asks(db)
    actions.book(db, wish=replace(other.wish(at("2027-04-01")), resource_id=ask.resource.id), now=NOW)
    made = ask.series(at("2027-04-01"), "FREQ=DAILY;COUNT=4", SKIP)
    editor = Editor(ask.person, {one.id for one in made.bookings}, CancelledBy.CUSTOMER)
    change = Change(made.bookings[0].id, at("2027-04-02", "12:00", "13:00"), None, REFUSE)
    edited = edit_series(db, series_id=made.series.id, version=made.series.version, change=change, editor=editor, now=NOW)
    assert edited.series.id == made.series.id
    assert [one.slot.start.day for one in edited.moved] == [2, 3, 4]
    assert [datetime.fromisoformat(gap["start"]) for gap in edited.series.gaps] == [at("2027-04-01").start]
    with pytest.raises(SeriesRefused):
        fill_gaps(db, series_id=made.series.id, starts=None, actor_id=ask.person, now=NOW)
    assert audit(db) == []


def _ends(db: Session, booking: Booking) -> list[datetime]:
    return list(db.scalars(select(Claim.ends_at).where(Claim.booking_id == booking.id, Claim.active)))
