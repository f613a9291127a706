"""Quotas count on the resource's local days: against a count minute by minute, across DST, and in a race."""

import threading
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise, product
from time import perf_counter, process_time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from booking import actions
from booking.actions import CancelledBy
from booking.admission import SlotRefused, Wish, admit
from booking.audience import Group
from booking.places import get_place
from booking.quotas import By, Members, Per, Quota, Tally, Unit, Use, full, periods, reach, reasons
from booking.rules.actions import Further, RuleSet, set_rules
from booking.series.actions import book_series
from booking.states import BookingState
from booking.tables import Booking, Category, OnConflict
from marketplace.refusals import Invalid
from marketplace.slot import Slot
from marketplace.tables import Organisation, Person, Resource
from tests.booking.asking import grants
from tests.builders import a_booking, a_person, a_resource, an_institution, an_organisation

SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")
NEW_YORK, LORD_HOWE = ZoneInfo("America/New_York"), ZoneInfo("Australia/Lord_Howe")
MINUTE = timedelta(minutes=1)
CHANGES = {
    SHANGHAI: datetime(2026, 2, 28, 16, tzinfo=UTC),  # no change: the end of a month
    BERLIN: datetime(2027, 3, 28, 1, tzinfo=UTC),
    NEW_YORK: datetime(2026, 11, 1, 6, tzinfo=UTC),
    LORD_HOWE: datetime(2026, 10, 3, 15, 30, tzinfo=UTC),
}
"""An instant near which the days of each zone are of unusual length."""


def naive_period(per: Per, day: date) -> tuple[int, ...]:
    if per is Per.WEEK:
        return day.isocalendar()[:2]
    return (day.year, day.month) if per is Per.MONTH else (day.year, day.month, day.day)


def naive_shares(quota: Quota, use: Use, zone: ZoneInfo) -> Counter[tuple[int, ...]]:
    """Minutes of all units, or 1, by period: found by looking at every minute."""
    shares: Counter[tuple[int, ...]] = Counter()
    at = use.slot.start
    while at < use.slot.end:
        shares[naive_period(quota.per, at.astimezone(zone).date())] += use.quantity
        at += MINUTE
    return shares if quota.unit is Unit.HOURS else Counter(dict.fromkeys(shares, 1))


def naive_member(members: Members, use: Use) -> bool:
    return (
        (use.group or "") == members.group
        or use.person_id in members.person_ids
        or use.organisation_id in members.organisation_ids
    )


def naive_breaks(quota: Quota, asked: Use, others: list[Use], zone: ZoneInfo) -> bool:
    if quota.members and not naive_member(quota.members, asked):
        return False
    total = naive_shares(quota, asked, zone)
    wanted = set(total)
    for other in others:
        same = asked.person_id == other.person_id if quota.by is By.PERSON else asked.organisation_id == other.organisation_id
        if quota.members:
            same = naive_member(quota.members, other)
        if same:
            total += naive_shares(quota, other, zone)
    most = quota.limit * (60 if quota.unit is Unit.HOURS else 1)
    return any(total[period] > most for period in wanted)


MEMBERS = [Members("industry", Group.INDUSTRY), Members("two", None, frozenset("x"), frozenset("b"))]
KEYS = st.sampled_from([(By.PERSON, None), (By.ORGANISATION, None), *((By.GROUP, members) for members in MEMBERS)])
quotas_ = st.builds(
    lambda limit, unit, per, key: Quota(limit, unit, per, *key),
    st.integers(1, 12),
    st.sampled_from(Unit),
    st.sampled_from(Per),
    KEYS,
)


@st.composite
def uses(draw: st.DrawFn, zone: ZoneInfo) -> Use:
    start = CHANGES[zone] + draw(st.integers(-2 * 24 * 60, 2 * 24 * 60)) * MINUTE
    slot = Slot(start, start + draw(st.integers(1, 9 * 60)) * MINUTE)
    person, firm = draw(st.sampled_from("ab")), draw(st.sampled_from(["x", "y", None]))
    return Use(slot, person, firm, draw(st.integers(1, 2)), draw(st.sampled_from([Group.INDUSTRY, Group.OWN, None])))


cases = st.sampled_from(list(CHANGES)).flatmap(
    lambda zone: st.tuples(st.just(zone), quotas_, uses(zone), st.lists(uses(zone), max_size=4))
)


@settings(max_examples=120)
@given(cases)
def test_a_quota_is_broken_where_a_count_minute_by_minute_says_so(case: tuple[ZoneInfo, Quota, Use, list[Use]]) -> None:
    zone, quota, asked, others = case
    broken = reasons([quota], asked, others, zone)
    assert bool(broken) == naive_breaks(quota, asked, others, zone)
    assert all(reason.override_by for reason in broken)


@settings(max_examples=120)
@given(cases, st.lists(quotas_, max_size=3))
def test_sums_that_are_kept_say_what_counting_all_anew_says(
    case: tuple[ZoneInfo, Quota, Use, list[Use]], more: list[Quota]
) -> None:
    zone, quota, asked, others = case
    several = [quota, *more, quota]
    tally = Tally(several, others[:2], zone)
    for number in range(2, len(others) + 1):
        assert tally.reasons(asked) == reasons(several, asked, others[:number], zone)
        for one in others[number : number + 1]:
            tally.add(one)


@pytest.mark.laws
@settings(max_examples=120)
@given(cases)
def test_outside_full_periods_every_slot_of_that_length_has_room(case: tuple[ZoneInfo, Quota, Use, list[Use]]) -> None:
    zone, quota, asked, others = case
    window = asked.slot.widen(timedelta(days=2), timedelta(days=2))
    closed = full([quota], asked, others, window, zone)
    for hours in range(-48, 48, 5):
        moved = Slot(asked.slot.start + timedelta(hours=hours), asked.slot.end + timedelta(hours=hours))
        if not any(span.overlaps(moved) for span in closed):
            assert not reasons([quota], replace(asked, slot=moved), others, zone)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        (BERLIN, date(2027, 3, 28), 23),
        (BERLIN, date(2027, 10, 31), 25),
        (NEW_YORK, date(2026, 3, 8), 23),
        (NEW_YORK, date(2026, 11, 1), 25),
        (LORD_HOWE, date(2026, 4, 5), 24.5),
        (LORD_HOWE, date(2026, 10, 4), 23.5),
        (SHANGHAI, date(2026, 10, 4), 24),
    ],
)
def test_a_day_of_the_quota_is_as_long_as_the_local_day(zone: ZoneInfo, day: date, hours: float) -> None:
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=zone)
    (period,) = periods(Per.DAY, Slot(noon, noon + MINUTE), zone)
    assert (period.first, period.last) == (day, day)
    assert period.slot.duration == timedelta(hours=hours)
    whole = Use(period.slot, "a", None)
    limit = int(hours) if hours == int(hours) else int(hours) + 1
    assert not reasons([Quota(limit, Unit.HOURS, Per.DAY, By.PERSON)], whole, [], zone)
    assert reasons([Quota(limit - 1, Unit.HOURS, Per.DAY, By.PERSON)], whole, [], zone)


def test_weeks_begin_on_monday_and_months_on_the_first() -> None:
    sunday_night = Slot(datetime(2026, 5, 31, 23, tzinfo=SHANGHAI), datetime(2026, 6, 1, 1, tzinfo=SHANGHAI))
    weeks, months = periods(Per.WEEK, sunday_night, SHANGHAI), periods(Per.MONTH, sunday_night, SHANGHAI)
    assert [(week.first, week.last) for week in weeks] == [
        (date(2026, 5, 25), date(2026, 5, 31)),
        (date(2026, 6, 1), date(2026, 6, 7)),
    ]
    assert [(month.first, month.last) for month in months] == [
        (date(2026, 5, 1), date(2026, 5, 31)),
        (date(2026, 6, 1), date(2026, 6, 30)),
    ]
    both = [Quota(1, Unit.COUNT, Per.WEEK, By.PERSON), Quota(1, Unit.COUNT, Per.MONTH, By.PERSON)]
    assert reach(both, sunday_night, SHANGHAI) == Slot(months[0].slot.start, months[1].slot.end)


def test_what_is_told_is_how_much_of_which_period() -> None:
    zone, start = SHANGHAI, datetime(2026, 3, 10, 22, tzinfo=SHANGHAI)
    over_midnight = Use(Slot(start, start + timedelta(hours=4)), "a", "x")
    before = Use(Slot(start - timedelta(hours=3), start - timedelta(hours=1.5)), "b", "x")
    (reason,) = reasons([Quota(3, Unit.HOURS, Per.DAY, By.ORGANISATION)], over_midnight, [before], zone)
    assert reason.code == "over_quota_hours"
    assert reason.values == {
        "limit": 3, "used": 1.5, "asked": 2, "per": "day", "by": "organisation", "since": "2026-03-10", "until": "2026-03-10",
    }  # fmt: skip
    assert not reasons([Quota(3, Unit.HOURS, Per.DAY, By.PERSON)], over_midnight, [before], zone)


NOW = datetime(2026, 3, 9, 1, tzinfo=UTC)  # Monday 09:00 in Shanghai
DAY = datetime(2026, 3, 9, 16, tzinfo=UTC)  # midnight of Tuesday there


def hours(start: float, end: float) -> Slot:
    return Slot(DAY + timedelta(hours=start), DAY + timedelta(hours=end))


def limited(db: Session, limit: int, unit: Unit = Unit.COUNT, per: Per = Per.DAY, by: By = By.ORGANISATION) -> Resource:
    resource = a_resource(db, capacity=2)
    further = Further(quotas=[{"limit": limit, "unit": unit.value, "per": per.value, "by": by.value}])
    set_rules(db, resource_id=resource.id, rules=RuleSet(), further=further, actor_id=None, now=NOW)
    return resource


def wanted(resource: Resource, slot: Slot, who: Person, firm: Organisation | None) -> Wish:
    return Wish(resource.id, slot, who.id, firm.id if firm else None, Category.EXT)


def test_a_customer_over_the_quota_is_refused_with_ways_out_that_keep_it(db: Session) -> None:
    resource, who, firm = limited(db, 2), a_person(db), an_organisation(db)
    for start in (9, 11):
        actions.book(db, wish=wanted(resource, hours(start, start + 1), a_person(db), firm), now=NOW)
    with pytest.raises(SlotRefused) as caught:
        actions.book(db, wish=wanted(resource, hours(13, 14), who, firm), now=NOW)
    assert [reason.code for reason in caught.value.reasons] == ["over_quota_count"]
    assert caught.value.reasons[0].override_by == ("manager", "operator")
    assert caught.value.conflicts == ()
    assert caught.value.alternatives == (hours(24, 25), hours(25, 26), hours(26, 27))
    for slot in caught.value.alternatives[:2]:
        actions.book(db, wish=wanted(resource, slot, who, firm), now=NOW)
    actions.book(db, wish=wanted(resource, hours(13, 14), who, an_organisation(db)), now=NOW)


def test_a_wish_that_is_longer_than_the_quota_has_no_way_out(db: Session) -> None:
    resource = limited(db, 2, Unit.HOURS, Per.WEEK)
    with pytest.raises(SlotRefused) as caught:
        actions.book(db, wish=wanted(resource, hours(9, 12), a_person(db), an_organisation(db)), now=NOW)
    assert caught.value.alternatives == ()


def test_staff_of_the_house_count_as_one_organisation(db: Session) -> None:
    resource = limited(db, 1)
    actions.book(db, wish=wanted(resource, hours(9, 10), a_person(db), None), now=NOW)
    with pytest.raises(SlotRefused):
        actions.book(db, wish=wanted(resource, hours(10, 11), a_person(db), None), now=NOW)
    actions.book(db, wish=wanted(resource, hours(10, 11), a_person(db), an_organisation(db)), now=NOW)


@pytest.mark.parametrize("state", BookingState)
def test_what_is_over_without_use_does_not_count(db: Session, state: BookingState) -> None:
    resource, who, firm = limited(db, 1), a_person(db), an_organisation(db)
    a_booking(db, resource=resource, organisation=firm, start=DAY + timedelta(hours=2), hours=1, state=state)
    free = {BookingState.CANCELLED, BookingState.EXPIRED, BookingState.REFUSED, BookingState.PROVIDER_FAILED}
    wish = wanted(resource, hours(12, 13), who, firm)
    if state in free:
        actions.book(db, wish=wish, now=NOW)
    else:
        with pytest.raises(SlotRefused):
            actions.book(db, wish=wish, now=NOW)


def test_a_move_does_not_count_itself_and_obeys_the_quota(db: Session) -> None:
    resource, who, firm = limited(db, 1), a_person(db), an_organisation(db)
    one = actions.book(db, wish=wanted(resource, hours(9, 10), who, firm), now=NOW)
    two = actions.book(db, wish=wanted(resource, hours(33, 34), who, firm), now=NOW)
    moved = actions.move(db, booking_id=one.id, slot=hours(10, 11), version=1, actor_id=who.id, now=NOW)
    with pytest.raises(SlotRefused):
        actions.move(db, booking_id=moved.id, slot=hours(35, 36), version=2, actor_id=who.id, now=NOW)
    actions.cancel(db, booking_id=two.id, by=CancelledBy.CUSTOMER, actor_id=who.id, now=NOW)
    actions.move(db, booking_id=moved.id, slot=hours(35, 36), version=2, actor_id=who.id, now=NOW)


def test_quotas_that_mean_nothing_are_refused_and_rules_set_without_them_keep_them(db: Session) -> None:
    resource = limited(db, 3)
    for limit in (0, 100_001):
        further = Further(quotas=[{"limit": limit, "unit": "count", "per": "day", "by": "person"}])
        with pytest.raises(Invalid):
            set_rules(db, resource_id=resource.id, rules=RuleSet(), further=further, actor_id=None, now=NOW)
    kept = set_rules(db, resource_id=resource.id, rules=RuleSet(min_min=30), actor_id=None, now=NOW)
    assert kept.quotas == [{"limit": 3, "unit": "count", "per": "day", "by": "organisation"}]


RIVALS = 12


def test_of_many_at_once_only_as_many_pass_as_the_quota_lets(committed_db: sessionmaker[Session]) -> None:
    """All ask for different hours, so nothing but the quota stands in the way."""
    with committed_db() as session:
        resource, firm = limited(session, 3), an_organisation(session)
        wishes = [wanted(resource, hours(n, n + 1), a_person(session), firm) for n in range(RIVALS)]
        session.commit()
    gate, told = threading.Barrier(RIVALS), []

    def ask(wish: Wish) -> None:
        gate.wait()
        with committed_db() as session:
            try:
                actions.book(session, wish=wish, now=NOW)
                session.commit()
                told.append("booked")
            except SlotRefused as refused:
                told.extend(reason.code for reason in refused.reasons)

    threads = [threading.Thread(target=ask, args=(wish,)) for wish in wishes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(told) == ["booked"] * 3 + ["over_quota_count"] * (RIVALS - 3)
    with committed_db() as session:
        assert session.scalar(select(func.count()).select_from(Booking)) == 3


def test_without_the_lock_the_same_race_breaks_the_quota(committed_db: sessionmaker[Session]) -> None:
    """The control: judged first and written later, with nothing that holds the two together, the quota does not hold."""
    with committed_db() as session:
        resource, firm = limited(session, 1), an_organisation(session)
        wishes = [wanted(resource, hours(n, n + 1), a_person(session), firm) for n in range(RIVALS)]
        session.commit()
    gate, stored = threading.Barrier(RIVALS), []

    def careless(wish: Wish) -> None:
        with committed_db() as session:
            admit(session, get_place(session, wish.resource_id), wish, now=NOW)
            session.rollback()
        gate.wait()
        with committed_db() as session:
            stored.append(a_booking(session, resource=resource, organisation=firm, start=wish.slot.start, hours=1).id)
            session.commit()

    threads = [threading.Thread(target=careless, args=(wish,)) for wish in wishes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(stored) == RIVALS


@pytest.mark.parametrize("per", Per)
@pytest.mark.parametrize("zone", CHANGES)
def test_the_reach_is_from_the_first_periods_start_to_the_lasts_end(zone: ZoneInfo, per: Per) -> None:
    for hours_ in range(-80, 80, 7):
        start = CHANGES[zone] + timedelta(hours=hours_)
        slot = Slot(start, start + timedelta(hours=40))
        touched = periods(per, slot, zone)
        quota = Quota(1, Unit.COUNT, per, By.PERSON)
        assert reach([quota], slot, zone) == Slot(touched[0].slot.start, touched[-1].slot.end)
        assert all(one.slot.end == other.slot.start for one, other in pairwise(touched))


def test_a_wish_of_a_century_is_judged_as_quickly_as_any() -> None:
    asked = Use(Slot(datetime(2000, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC)), "a", "x")
    quotas = [Quota(25, Unit.HOURS, Per.DAY, By.PERSON), Quota(100, Unit.COUNT, Per.DAY, By.PERSON)]
    began = perf_counter()
    assert reasons(quotas, asked, [], SHANGHAI) == []
    assert reach(quotas, asked.slot, SHANGHAI).contains(asked.slot)
    assert perf_counter() - began < 0.5


def test_every_pair_of_unit_and_period_has_an_example() -> None:
    start = datetime(2026, 3, 10, 9, tzinfo=SHANGHAI)
    asked = Use(Slot(start, start + timedelta(hours=2)), "a", "x", quantity=2)
    for unit, per, by in product(Unit, Per, By):
        most = 1 if unit is Unit.COUNT else 4
        assert not reasons([Quota(most, unit, per, by)], asked, [], SHANGHAI)
        assert reasons([Quota(most, unit, per, by)], asked, [asked], SHANGHAI)


def test_a_class_of_customers_shares_a_quota_with_alternatives_and_series(db: Session) -> None:
    house = an_institution(db)
    machine = a_resource(db, institution=house)
    shared = {"limit": 3, "unit": "hours", "per": "day", "by": "group", "group": "industry"}
    set_rules(db, resource_id=machine.id, rules=RuleSet(), further=Further(quotas=[shared]), actor_id=None, now=NOW)
    firms = [an_organisation(db) for _ in range(2)]
    own = an_organisation(db, institution_id=house.id)

    def ask(firm: Organisation | None, start: int, length: int = 2) -> Booking:
        slot = Slot(DAY + timedelta(hours=start), DAY + timedelta(hours=start + length))
        wish = Wish(machine.id, slot, a_person(db).id, firm.id if firm else None, Category.EXT)
        return actions.book(db, wish=wish, now=NOW)

    ask(firms[0], 0)
    with pytest.raises(SlotRefused) as refused:
        ask(firms[1], 4)
    (reason,) = refused.value.reasons
    assert (reason.code, reason.values["group"], reason.values["used"]) == ("over_quota_hours_shared", "industry", 2)
    for way in refused.value.alternatives:
        wish = Wish(machine.id, way, a_person(db).id, firms[1].id, Category.EXT)
        assert grants(db, get_place(db, machine.id), wish, now=NOW)
    assert len(refused.value.alternatives) == 3
    ask(own, 4)
    ask(None, 6)
    wish = Wish(
        machine.id, Slot(DAY + timedelta(days=9), DAY + timedelta(days=9, hours=2)), a_person(db).id, firms[0].id, Category.EXT
    )
    made = book_series(db, wish=wish, rrule="FREQ=DAILY;COUNT=3", on_conflict=OnConflict.SKIP, now=NOW)
    assert len(made.bookings) == 3


def test_a_long_series_is_judged_by_sums_that_are_kept(db: Session) -> None:
    day = {"limit": 24, "unit": "hours", "per": "day", "by": "person"}
    many = [day, {"limit": 500, "unit": "count", "per": "month", "by": "organisation"}]
    took = {}
    for quotas in ([], many):
        resource, who, firm = a_resource(db), a_person(db), an_organisation(db)
        rules, further = RuleSet(horizon_days=730), Further(quotas=quotas)
        set_rules(db, resource_id=resource.id, rules=rules, further=further, actor_id=None, now=NOW)
        started = process_time()
        made = book_series(
            db,
            wish=wanted(resource, hours(1, 2), who, firm),
            rrule="FREQ=DAILY;COUNT=700",
            on_conflict=OnConflict.REFUSE,
            now=NOW,
        )
        took[len(quotas)] = process_time() - started
        assert len(made.bookings) == 700
    assert took[2] < 4 * took[0]
