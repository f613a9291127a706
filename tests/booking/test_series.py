"""Series: every occurrence by the rules of a single booking, all of them or those that can be had."""

import threading
import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from booking import actions
from booking.admission import Wish
from booking.occupancy import Gap
from booking.outages.actions import record_outage
from booking.rules.actions import Further, RuleSet, set_rules
from booking.series.actions import Outcome, SeriesRefused, book_series
from booking.tables import Approval, Booking, BookingSeries, Category, OnConflict
from marketplace.slot import Slot
from marketplace.tables import Institution, Message, Resource
from tests.builders import a_person, a_resource, an_organisation
from web.present.series import reasons_of
from web.running import audit
from web.views.frame import Lang

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2027, 3, 1, tzinfo=UTC)


def at(day: str, start: str = "09:00", end: str = "11:00") -> Slot:
    return Slot(*(datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=BERLIN) for clock in (start, end)))


class Asks:
    """One customer of one resource in Berlin."""

    def __init__(self, db: Session, **values: object) -> None:
        self.db, self.person, self.firm = db, a_person(db).id, an_organisation(db).id
        self.resource: Resource = a_resource(db, **{"timezone": "Europe/Berlin", **values})

    def rules(self, **values: object) -> None:
        set_rules(self.db, resource_id=self.resource.id, rules=RuleSet(**values), actor_id=None, now=NOW)  # type: ignore[arg-type]

    def wish(self, slot: Slot) -> Wish:
        return Wish(self.resource.id, slot, self.person, self.firm, Category.EXT)

    def series(self, slot: Slot, rrule: str, on_conflict: OnConflict = OnConflict.REFUSE) -> Outcome:
        return book_series(self.db, wish=self.wish(slot), rrule=rrule, on_conflict=on_conflict, now=NOW)

    def refusal(self, slot: Slot, rrule: str, on_conflict: OnConflict = OnConflict.REFUSE) -> SeriesRefused:
        with pytest.raises(SeriesRefused) as caught, self.db.begin_nested():
            self.series(slot, rrule, on_conflict)
        return caught.value

    def alone(self, slot: Slot) -> Booking:
        return actions.book(self.db, wish=self.wish(slot), now=NOW)


@pytest.fixture
def ask(db: Session) -> Asks:
    return Asks(db)


def test_a_weekly_series_keeps_its_wall_clock_and_is_told_once(db: Session, ask: Asks) -> None:
    made = ask.series(at("2027-03-14"), "FREQ=WEEKLY;COUNT=4")
    assert [one.slot for one in made.bookings] == [at(f"2027-{day}") for day in ("03-14", "03-21", "03-28", "04-04")]
    assert {one.series_id for one in made.bookings} == {made.series.id}
    assert db.scalars(select(Message.kind)).all() == ["series_booked"]
    assert audit(db) == []


def test_ten_weekly_with_the_fourth_taken_are_all_refused_or_nine_booked_and_the_gap_told(db: Session, ask: Asks) -> None:
    ask.alone(at("2027-04-04", "10:00", "12:00"))
    refused = ask.refusal(at("2027-03-14"), "FREQ=WEEKLY;COUNT=10")
    assert refused.code == "slot_taken"
    assert [one.values["start"] for one in refused.reasons] == [at("2027-04-04").start.isoformat()]
    assert refused.conflicts == (at("2027-04-04", "10:00", "11:00"),)
    assert db.scalar(select(func.count()).select_from(Booking)) == 1
    made = ask.series(at("2027-03-14"), "FREQ=WEEKLY;COUNT=10", OnConflict.SKIP)
    assert len(made.bookings) == 9
    assert [(gap.slot, gap.conflicts) for gap in made.gaps] == [(at("2027-04-04"), [at("2027-04-04", "10:00", "11:00")])]
    assert db.scalars(select(BookingSeries.gaps)).one()[0]["reasons"] == ["slot_taken"]
    assert audit(db) == []


def test_the_ways_out_are_first_occurrences_with_which_all_can_be_had(ask: Asks) -> None:
    ask.alone(at("2027-04-04", "10:00", "12:00"))
    ask.alone(at("2027-03-21", "08:00", "09:00"))
    refused = ask.refusal(at("2027-03-14"), "FREQ=WEEKLY;COUNT=10")
    assert refused.alternatives
    for first in refused.alternatives:
        with ask.db.begin_nested() as undone:
            assert len(ask.series(first, "FREQ=WEEKLY;COUNT=10").bookings) == 10
            undone.rollback()


def test_every_rule_holds_for_every_occurrence(ask: Asks) -> None:
    ask.rules(hours=[{"weekday": 6, "open_min": 540, "close_min": 1080}], horizon_days=30, approval=Approval.REQUEST)
    refused = ask.refusal(at("2027-03-14"), "FREQ=DAILY;INTERVAL=7;COUNT=4")
    assert [(one.code, one.values["start"]) for one in refused.reasons] == [
        ("beyond_horizon", at("2027-04-04").start.isoformat())
    ]
    made = ask.series(at("2027-03-07"), "FREQ=DAILY;COUNT=9", OnConflict.SKIP)
    assert [(one.slot, one.state.value) for one in made.bookings] == [
        (at("2027-03-07"), "requested"),
        (at("2027-03-14"), "requested"),
    ]


def test_what_the_series_itself_takes_counts_towards_its_quotas(ask: Asks) -> None:
    quotas = Further(quotas=[{"limit": 4, "unit": "hours", "per": "week", "by": "organisation"}])
    set_rules(ask.db, resource_id=ask.resource.id, rules=RuleSet(), further=quotas, actor_id=None, now=NOW)
    made = ask.series(at("2027-03-15"), "FREQ=DAILY;COUNT=14", OnConflict.SKIP)
    assert [one.slot for one in made.bookings] == [at(f"2027-03-{day}") for day in (15, 16, 22, 23)]
    assert {reason.code for gap in made.gaps for reason in gap.reasons} == {"over_quota_hours"}
    assert ask.refusal(at("2027-03-22", "12:00", "13:00"), "FREQ=WEEKLY;COUNT=2").code == "series_refused"


def test_an_occurrence_in_the_hour_that_is_skipped_is_a_gap(ask: Asks) -> None:
    made = ask.series(at("2027-03-27", "02:30", "04:00"), "FREQ=DAILY;COUNT=3", OnConflict.SKIP)
    assert [one.slot.seconds for one in made.bookings] == [5400, 5400]
    assert [[one.code for one in gap.reasons] for gap in made.gaps] == [["no_such_time"]]
    ask.refusal(at("2027-03-27", "05:00", "06:00"), "FREQ=DAILY;COUNT=500")


def test_occurrences_stand_in_each_others_way(db: Session, ask: Asks) -> None:
    refused = ask.refusal(at("2027-03-14", "09:00", "23:00").widen(timedelta(), timedelta(hours=20)), "FREQ=DAILY;COUNT=3")
    assert {one.code for one in refused.reasons} == {"meets_itself"}
    ask.rules(cleaning_min=120)
    with_buffer = ask.refusal(Slot(NOW, NOW + timedelta(hours=23)), "FREQ=DAILY;COUNT=2")
    assert [one.code for one in with_buffer.reasons] == ["meets_itself"]
    assert len(ask.series(Slot(NOW, NOW + timedelta(hours=22)), "FREQ=DAILY;COUNT=3").bookings) == 3
    assert audit(db) == []


def test_nothing_at_all_to_be_had_is_refused_although_gaps_may_be_skipped(ask: Asks) -> None:
    ask.rules(max_min=60)
    assert {one.code for one in ask.refusal(at("2027-03-14"), "FREQ=DAILY;COUNT=3", OnConflict.SKIP).reasons} == {"too_long"}


def test_how_many_more_times_cannot_be_had_is_told_where_not_all_are_named(ask: Asks) -> None:
    ask.rules(max_min=60, step_min=45)
    each = ask.refusal(at("2027-03-14"), "FREQ=DAILY;COUNT=25").reasons
    assert [one.code for one in each] == ["too_long", "off_step"] * 25
    told = ask.refusal(at("2027-03-14"), "FREQ=DAILY;COUNT=60").reasons
    assert (len(told), told[-1].code, told[-1].values) == (51, "more_times", {"more": 35})


def test_a_page_names_some_of_a_refused_series_times_and_counts_the_others(ask: Asks) -> None:
    ask.rules(max_min=60)
    refused = ask.refusal(at("2027-03-14"), "FREQ=DAILY;COUNT=60")
    told = reasons_of(refused, "Europe/Berlin", Lang.EN)
    assert (len(told), told[-1]) == (11, "How many more of its times cannot be had: 50.")
    assert reasons_of(refused, "Europe/Berlin", Lang.ZH)[-1] == "另有 50 个时段同样无法预约。"
    assert len(reasons_of(ask.refusal(at("2027-03-14"), "FREQ=DAILY;COUNT=10"), "Europe/Berlin", Lang.EN)) == 10


@pytest.mark.laws
def test_a_thousand_occurrences_are_booked_in_two_seconds(committed_db: sessionmaker[Session]) -> None:
    with committed_db.begin() as session:
        ask = Asks(session)
        ask.rules(horizon_days=730, setup_min=15, cleaning_min=15)
        for day in range(60):
            ask.alone(at("2027-03-02", "16:00", "17:00").shift(timedelta(days=day)))
    with committed_db() as session:
        ask.db = session
        started = time.process_time()  # whatever else the machine does meanwhile
        made = ask.series(at("2027-03-02"), "FREQ=DAILY;COUNT=1000", OnConflict.SKIP)
        session.commit()
        took = time.process_time() - started
        assert len(made.bookings) + len(made.gaps) == 1000
        assert len(made.bookings) > 700
        assert audit(session) == []
    assert took < 2, took


def test_of_two_series_at_once_on_the_same_times_one_is_whole_and_the_other_refused(committed_db: sessionmaker[Session]) -> None:
    with committed_db.begin() as session:
        ask = Asks(session)
        wishes = [ask.wish(at("2027-03-14")), ask.wish(at("2027-03-21"))]
    outcomes: list[str] = []
    gate = threading.Barrier(6)

    def take(wish: Wish) -> None:
        gate.wait()
        try:
            with committed_db.begin() as session:
                book_series(session, wish=wish, rrule="FREQ=WEEKLY;COUNT=20", on_conflict=OnConflict.REFUSE, now=NOW)
            outcomes.append("whole")
        except SeriesRefused as refused:
            outcomes.append(refused.code)

    threads = [threading.Thread(target=take, args=(wishes[turn % 2],)) for turn in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(outcomes) == ["slot_taken"] * 5 + ["whole"]
    with committed_db() as session:
        assert session.scalar(select(func.count()).select_from(Booking)) == 20
        assert audit(session) == []


def test_occurrences_that_meet_one_another_are_told_apart_from_what_others_have(ask: Asks) -> None:
    ask.rules(max_min=60 * 60)
    long = Slot(at("2027-03-14").start, at("2027-03-15", "10:00", "11:00").start)
    refused = ask.refusal(long, "FREQ=DAILY;COUNT=3")
    assert (refused.code, [one.code for one in refused.reasons], refused.conflicts) == ("series_refused", ["meets_itself"], ())
    ask.alone(at("2027-03-15", "20:00", "21:00"))
    both = ask.refusal(long, "FREQ=DAILY;COUNT=3")
    assert (both.code, [one.code for one in both.reasons]) == ("slot_taken", ["slot_taken"])
    made = ask.series(long, "FREQ=DAILY;COUNT=6", OnConflict.SKIP)
    assert [gap["reasons"] for gap in made.series.gaps] == [["slot_taken"], ["meets_itself"], ["meets_itself"]]


def test_what_stands_in_the_way_of_a_series_is_told_apart_for_a_line_and_its_stations(db: Session, ask: Asks) -> None:
    """The ledger guards a lane by itself; that a clean-down keeps off an outage is for admission to see."""
    ask.rules(setup_min=15, cleaning_min=15, buffer_mode=Gap.MAX)
    house = db.get_one(Institution, ask.resource.institution_id)
    a_resource(db, institution=house, parent_id=ask.resource.id, timezone="Europe/Berlin")
    closed = at("2027-03-15", "10:00", "14:00")
    record_outage(db, resource_id=ask.resource.id, slot=closed, planned=True, reason="保养", actor_id="per_1", now=NOW)
    refused = ask.refusal(at("2027-03-14", "09:00", "10:00"), "FREQ=DAILY;COUNT=3")
    assert [one.values["start"] for one in refused.reasons] == [at("2027-03-15", "09:00", "10:00").start.isoformat()]
    assert len(ask.series(at("2027-03-14", "08:45", "09:45"), "FREQ=DAILY;COUNT=3").bookings) == 3
    assert audit(db) == []
