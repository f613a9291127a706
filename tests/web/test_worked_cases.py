"""The worked cases of booking, each as it was written down; those of series and bundles are in tests/booking."""

import threading
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from billing.policy import Policy, Tier
from billing.pricing import cancellation_fee
from billing.tables import BookingQuote
from booking import actions, queries
from booking.admission import SlotRefused, Wish
from booking.occupancy import Gap
from booking.rules.actions import RuleSet, set_rules
from booking.tables import Booking, Category
from marketplace.money import Money
from marketplace.permissions import Actor, Grant
from marketplace.roles import Role
from marketplace.slot import Slot
from marketplace.tables import Message, Resource
from tests.builders import a_member, a_person, a_resource, an_organisation
from web import checkout
from web.running import audit
from web.wall import moments

NOW = datetime(2027, 3, 1, tzinfo=UTC)
DAY = datetime(2027, 3, 10, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
CONTENDERS = 64


def at(start: str, end: str) -> Slot:
    """Of that day by its clock, 24:00 included."""
    edges = ((int(hour), int(minute)) for hour, minute in (clock.split(":") for clock in (start, end)))
    return Slot(*(DAY + timedelta(hours=hour, minutes=minute) for hour, minute in edges))


def booked(db: Session, resource: Resource, slot: Slot, quantity: int = 1) -> Booking:
    wish = Wish(resource.id, slot, a_person(db).id, an_organisation(db).id, Category.EXT, quantity)
    return actions.book(db, wish=wish, now=NOW)


def refusal(db: Session, resource: Resource, slot: Slot) -> SlotRefused:
    with pytest.raises(SlotRefused) as caught:
        booked(db, resource, slot)
    return caught.value


def test_a_request_may_touch_and_one_that_overlaps_is_told_the_minute(db: Session) -> None:
    place = a_resource(db)
    booked(db, place, at("10:00", "11:00"))
    assert refusal(db, place, at("10:59", "11:30")).conflicts == (at("10:59", "11:00"),)
    booked(db, place, at("11:00", "12:00"))
    assert refusal(db, place, at("10:59", "11:30")).conflicts == (at("10:59", "11:30"),)


@pytest.mark.parametrize(("gap", "earliest"), [(Gap.SUM, 45), (Gap.MAX, 30)])
def test_set_up_of_15_and_cleaning_of_30_after_one_that_ends_at_13(db: Session, gap: Gap, earliest: int) -> None:
    place = a_resource(db)
    set_rules(db, resource_id=place.id, rules=RuleSet(setup_min=15, cleaning_min=30, buffer_mode=gap), actor_id=None, now=NOW)
    booked(db, place, at("12:00", "13:00"))
    assert "slot_taken" in refusal(db, place, at(f"13:{earliest - 1}", "15:00")).code
    booked(db, place, at(f"13:{earliest}", "15:00"))


@pytest.mark.parametrize(("day", "hours"), [(date(2027, 3, 28), 1), (date(2027, 10, 31), 3)])
def test_half_past_one_to_half_past_three_in_berlin(db: Session, day: date, hours: int) -> None:
    place = a_resource(db, timezone="Europe/Berlin")
    opened = [{"weekday": day.weekday(), "open_min": 90, "close_min": 210}]
    set_rules(db, resource_id=place.id, rules=RuleSet(hours=opened), actor_id=None, now=NOW)
    midnight = datetime(day.year, day.month, day.day, tzinfo=BERLIN)
    [free] = queries.free_time(db, place.id, within=Slot(midnight, midnight + timedelta(days=1)), now=NOW)
    assert free.duration == timedelta(hours=hours)
    assert [f"{edge.astimezone(BERLIN):%H:%M}" for edge in (free.start, free.end)] == ["01:30", "03:30"]
    assert booked(db, place, free).slot == free


def test_half_past_two_on_28_march_2027_does_not_exist_in_berlin() -> None:
    assert moments("2027-03-28T02:30", BERLIN) == []


def test_of_three_places_a_long_run_fits_beside_three_short_ones(db: Session) -> None:
    place = a_resource(db, capacity=3)
    for start, end in (("10:00", "11:00"), ("11:00", "12:00"), ("9:30", "11:00")):
        booked(db, place, at(start, end))
    booked(db, place, at("9:00", "12:00"))
    assert "slot_taken" in refusal(db, place, at("10:00", "10:30")).code


@pytest.mark.parametrize(("capacity", "refused"), [(4, []), (3, [(6, 10)])])
def test_the_peak_of_six_uses_is_four(db: Session, capacity: int, refused: list[tuple[int, int]]) -> None:
    place = a_resource(db, capacity=capacity)
    turned_away = []
    for start, end in ((6, 9), (5, 7), (3, 7), (6, 10), (3, 6), (8, 12)):
        try:
            booked(db, place, at(f"{start}:00", f"{end}:00"))
        except SlotRefused:
            turned_away.append((start, end))
    assert turned_away == refused


@pytest.mark.parametrize(
    ("tier", "limit"),
    [
        (Tier(Fraction(0), hours=Fraction(24)), "2027-03-27T09:00:00+01:00"),
        (Tier(Fraction(0), days=1), "2027-03-27T10:00:00+01:00"),
    ],
    ids=["24 hours", "1 day"],
)
def test_a_limit_in_hours_is_elapsed_and_one_in_days_is_of_the_calendar(tier: Tier, limit: str) -> None:
    """The start is at ten on the day the clocks went forward; exactly at the limit counts as in time, a second later does not."""
    start = datetime(2027, 3, 28, 10, tzinfo=BERLIN)
    slot, policy = Slot(start, start + timedelta(hours=2)), Policy(cancel_tiers=(tier, Tier(Fraction(1, 2), hours=Fraction(0))))
    last = datetime.fromisoformat(limit)
    fees = [
        cancellation_fee(Money(60000, "EUR"), slot, policy, cancelled_at=last + timedelta(seconds=late), zone=BERLIN).minor
        for late in (0, 1)
    ]
    assert fees == [0, 30000]


def test_of_64_at_once_there_is_one_booking_one_charge_one_message_and_63_with_ways_out(
    committed_db: sessionmaker[Session],
) -> None:
    with committed_db.begin() as session:
        place, firm = a_resource(session).id, an_organisation(session)
        member = a_member(session, Role.MEMBER, organisation=firm)
    actor = Actor(member.id, grants=frozenset({Grant(Role.MEMBER, organisation_id=firm.id)}))
    order = checkout.Order(place, at("10:00", "11:00"))
    gate, told = threading.Barrier(CONTENDERS), list[int]()

    def ask() -> None:
        gate.wait(60)
        try:
            with committed_db.begin() as session:
                checkout.book(session, actor=actor, order=order, now=NOW, hold=timedelta(minutes=10))
        except SlotRefused as refused:
            told.append(len(refused.alternatives))

    threads = [threading.Thread(target=ask) for _ in range(CONTENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert told == [3] * (CONTENDERS - 1)
    with committed_db() as session:
        for table in (Booking, BookingQuote, Message):
            assert session.scalar(select(func.count()).select_from(table)) == 1
        assert audit(session) == []
