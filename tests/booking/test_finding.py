"""What is found is what booking grants: first slots of many resources, against admission asked for every start."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event
from sqlalchemy.orm import Session

from booking import queries
from booking.actions import book
from booking.admission import SlotRefused, Wish, decide
from booking.finding.askers import STRANGER, Asker
from booking.finding.queries import Wanted, asker_of, rooms
from booking.fitting import trimmed, whole_steps
from booking.occupancy import Buffers, Gap, Taken, free, usable
from booking.operators.actions import add_operator
from booking.places import get_place
from booking.qualifications.tables import Qualification, QualificationGrant
from booking.tables import Category, SharedPart
from booking.terms import Rules
from marketplace.ids import new_id
from marketplace.roles import Role
from marketplace.slot import Slot
from marketplace.tables import ListingState, Organisation, Person, Resource
from tests.booking.asking import grants
from tests.builders import a_member, a_person, a_resource, an_institution, an_organisation

NOW = datetime(2026, 3, 9, 0, 7, tzinfo=UTC)
QUARTER = timedelta(minutes=15)


def hours(first: float, last: float, *, day: datetime = datetime(2026, 3, 10, tzinfo=UTC)) -> Slot:
    return Slot(day + timedelta(hours=first), day + timedelta(hours=last))


OPENINGS: Sequence[list[dict[str, int]]] = (
    [],
    [{"weekday": day, "open_min": 495, "close_min": 1035} for day in range(5)],
    [{"weekday": day, "open_min": 0, "close_min": 1440} for day in range(2)],
)
ATTENDED = [{"weekday": day, "open_min": 8 * 60, "close_min": 20 * 60} for day in range(2)]
QUOTAS: Sequence[list[dict[str, Any]]] = (
    [],
    [{"limit": 5, "unit": "hours", "per": "day", "by": "organisation"}],
    [{"limit": 1, "unit": "count", "per": "day", "by": "person"}],
    [{"limit": 6, "unit": "hours", "per": "week", "by": "person"}],
    [{"limit": 8, "unit": "hours", "per": "day", "by": "group", "group": "industry"}],
    [{"limit": 2, "unit": "count", "per": "day", "by": "group", "group": "academic"}],
)
AUDIENCES: Sequence[list[dict[str, Any]]] = (
    [],
    [{"group": "industry", "since": "2026-03-11"}],
    [{"group": "academic"}],
)
RULES = st.fixed_dictionaries(
    {
        "hours": st.sampled_from(OPENINGS),
        "step_min": st.sampled_from([15, 30, 45, 60]),
        "min_min": st.sampled_from([15, 50, 90]),
        "max_min": st.sampled_from([120, 480, 2880]),
        "notice_min": st.sampled_from([0, 1500]),
        "horizon_days": st.sampled_from([2, 365]),
        "setup_min": st.sampled_from([0, 30]),
        "cleaning_min": st.sampled_from([0, 45]),
        "buffer_mode": st.sampled_from(Gap),
        "buffers_in_closed": st.booleans(),
        "waive_own_buffers": st.booleans(),
        "quotas": st.sampled_from(QUOTAS),
        "audience": st.sampled_from(AUDIENCES),
    }
)
ASSISTANCE: Sequence[dict[str, Any]] = (
    {},
    {"mode": "required", "operators": [], "supervised_runs": 0},
    {"mode": "optional", "operators": [], "supervised_runs": 0},
    {"mode": "optional", "operators": [], "supervised_runs": 1},
)
NEEDS = st.sampled_from(["nothing", "what the asker holds until a day", "what nobody holds", "it unless assisted"])
POOL = {"buffer_mode": Gap.SUM, "waive_own_buffers": False, "pooled": True}
PEOPLE = st.fixed_dictionaries(
    {"assistance": st.sampled_from(ASSISTANCE), "needs": NEEDS, "pooled": st.booleans(), "shared": st.integers(0, 2)}
)
"""What the rules ask of people, and how many units a part has that the resource shares with another one; 0: there is none."""
TAKEN = st.lists(st.tuples(st.integers(0, 180), st.integers(1, 30), st.booleans(), st.integers(1, 2)), max_size=8)
ZONES = st.sampled_from(["Asia/Shanghai", "Europe/Berlin", "Australia/Lord_Howe"])


@pytest.mark.laws
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rules=RULES,
    people=PEOPLE,
    capacity=st.integers(1, 3),
    taken=TAKEN,
    zone=ZONES,
    begin=st.integers(0, 40),
    length=st.sampled_from([60, 90, 240, 540]),
    quantity=st.integers(1, 2),
    assisted=st.booleans(),
)
def test_the_first_slot_found_is_the_first_that_admission_grants(
    db: Session, rules: dict[str, Any], people: dict[str, Any], capacity: int, taken: list[tuple[int, int, bool, int]], zone: str,
    begin: int, length: int, quantity: int, assisted: bool,
) -> None:  # fmt: skip
    with db.begin_nested() as undone:
        firm, other, person = an_organisation(db), an_organisation(db), a_person(db)
        resource = a_demanding_resource(db, rules, people, person, capacity=capacity, timezone=zone)
        fill(db, resource, taken, own=(person, firm), other=(a_person(db), other))
        within = Slot(NOW.replace(minute=0) + begin * QUARTER, NOW.replace(minute=0) + (begin + 160) * QUARTER)
        wanted = Wanted(within, timedelta(minutes=length), quantity, assisted)
        found = rooms(db, [resource.id], wanted=wanted, askers=[asker_of(person.id, firm, frozenset())], now=NOW)
        room = found.get(resource.id)
        assert (room.first() if room else None) == first_granted(db, resource, wanted, person, firm)
        undone.rollback()


def a_demanding_resource(db: Session, rules: dict[str, Any], people: dict[str, Any], person: Person, **values: Any) -> Resource:
    """With an operator, a part that another resource uses on Tuesday morning, and a qualification that the person holds."""
    house, needs = an_institution(db), people["needs"]
    staff = a_member(db, Role.TECHNICIAN, institution=house)
    add_operator(db, institution_id=house.id, person_id=staff.id, hours=ATTENDED, actor_id=staff.id, now=NOW)
    kind = Qualification(id=new_id("qlf"), institution_id=house.id, name="Laser", levels=[{"name": "Basic"}], created_at=NOW)
    db.add(kind)
    db.flush()
    if needs != "what nobody holds":
        held = {"qualification_id": kind.id, "person_id": person.id, "level": 1, "expires_at": NOW + timedelta(hours=21)}
        db.add(QualificationGrant(id=new_id("qgr"), granted_at=NOW, granted_by=staff.id, **held))
    need = {"qualification_id": kind.id, "level": 1, "unless_assisted": needs == "it unless assisted"}
    asked = {"qualifications": [] if needs == "nothing" else [need], "assistance": people["assistance"]}
    pool = POOL if people["pooled"] else {}
    resource = a_resource(db, institution=house, rules={**rules, **pool, **asked}, **values)
    if people["shared"]:
        part, sharer = (a_resource(db, institution=house, capacity=people["shared"]) for _ in range(2))
        for one in (resource, sharer):
            db.add(SharedPart(resource_id=one.id, part_id=part.id))
        db.flush()
        firm = an_organisation(db)
        book(db, wish=Wish(sharer.id, hours(1, 4), staff.id, firm.id, Category.EXT), now=NOW)
    return resource


def fill(
    db: Session, resource: Resource, taken: list[tuple[int, int, bool, int]], *, own: tuple[Person, Organisation],
    other: tuple[Person, Organisation],
) -> None:  # fmt: skip
    """What can be booked of the list, for the asker or for somebody else."""
    for start, quarters, mine, quantity in taken:
        who, firm = own if mine else other
        slot = Slot(NOW.replace(minute=0) + start * QUARTER, NOW.replace(minute=0) + (start + quarters) * QUARTER)
        try:
            with db.begin_nested():
                book(db, wish=Wish(resource.id, slot, who.id, firm.id, Category.EXT, quantity), now=NOW)
        except SlotRefused:
            continue


def first_granted(db: Session, resource: Resource, wanted: Wanted, person: Person, firm: Organisation) -> Slot | None:
    """By asking admission for every quarter of an hour."""
    place, at = get_place(db, resource.id), wanted.within.start
    assert wanted.length
    while at + wanted.length <= wanted.within.end:
        slot = Slot(at, at + wanted.length)
        wish = Wish(resource.id, slot, person.id, firm.id, Category.EXT, wanted.quantity, assisted=wanted.assisted)
        if grants(db, place, wish, now=NOW):
            return slot
        at += QUARTER
    return None


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rules=RULES, people=PEOPLE, capacity=st.integers(1, 3), taken=TAKEN, zone=ZONES, quantity=st.integers(1, 2),
    length=st.integers(1, 40),
)  # fmt: skip
def test_what_is_listed_as_free_is_granted_and_what_is_not_is_refused(
    db: Session, rules: dict[str, Any], people: dict[str, Any], capacity: int, taken: list[tuple[int, int, bool, int]], zone: str,
    quantity: int, length: int,
) -> None:  # fmt: skip
    rules |= {"quotas": [], "audience": [], "waive_own_buffers": False}
    with db.begin_nested() as undone:
        firm, person = an_organisation(db), a_person(db)
        alone = {"needs": "nothing", "assistance": {**people["assistance"], "supervised_runs": 0}}  # nobody asks for themselves
        people = {**people, **(alone if people["assistance"] else {"needs": "nothing"})}
        resource = a_demanding_resource(db, rules, people, person, capacity=capacity, timezone=zone)
        fill(db, resource, taken, own=(person, firm), other=(a_person(db), an_organisation(db)))
        within = Slot(NOW, NOW + timedelta(hours=40))
        listed = queries.free_time(db, resource.id, within=within, now=NOW, quantity=quantity)
        place, length_s = get_place(db, resource.id), min(max(length * 15, rules["min_min"]), rules["max_min"]) * 60
        wish = Wish(resource.id, within, person.id, firm.id, Category.EXT, quantity)
        for span in listed:
            assert grants(db, place, replace(wish, slot=shortest(span, place.rules)), now=NOW)
        for number in range(150):
            start = NOW.replace(minute=0) + number * QUARTER
            slot = Slot(start, start + timedelta(seconds=length_s))
            refused = decide(db, place, replace(wish, slot=slot), queries.taken(db, place.claimed, within=slot), now=NOW).reasons
            if {reason.code for reason in refused} & {"off_step", "too_short", "too_long"} or not within.contains(slot):
                continue
            assert any(span.contains(slot) for span in listed) == (not refused)
        undone.rollback()


def shortest(span: Slot, rules: Rules) -> Slot:
    """The shortest use at the beginning of a listed stretch."""
    return Slot(span.start, span.start + whole_steps(timedelta(minutes=rules.min_min), rules))


CLAIMS = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 12), st.integers(0, 2)), max_size=12)


@given(spans=CLAIMS, capacity=st.integers(1, 3), quantity=st.integers(1, 3), start=st.integers(0, 44), length=st.integers(1, 8))
def test_a_slot_is_free_where_enough_units_are_idle_in_each_of_its_quarters(
    spans: list[tuple[int, int, int]], capacity: int, quantity: int, start: int, length: int
) -> None:
    claims = [Taken(f"b{n}", unit, 0, quarters(first, many)) for n, (first, many, unit) in enumerate(spans)]
    within, slot = quarters(0, 52), quarters(start, length)
    listed = free(usable(claims, capacity=capacity, buffers=Buffers(), within=[within]), quantity)
    busy = {(unit, at) for first, many, unit in spans for at in range(first, first + many)}
    idle = [unit for unit in range(capacity) if all((unit, at) not in busy for at in range(start, start + length))]
    assert any(span.contains(slot) for span in listed) == (len(idle) >= quantity)


def quarters(first: int, many: int) -> Slot:
    return Slot(NOW + first * QUARTER, NOW + (first + many) * QUARTER)


@pytest.mark.parametrize(
    ("zone", "step", "span", "listed"),
    [
        ("Asia/Shanghai", 60, hours(1.1, 3.9), [hours(2, 3)]),
        ("Asia/Shanghai", 45, hours(15.9, 20), [hours(16, 19.75)]),
        ("Asia/Shanghai", 50, hours(14, 18), [hours(14.5, 17.5 + 1 / 3)]),
        ("Asia/Shanghai", 60, hours(1.1, 2.9), []),
    ],
)
def test_free_time_is_told_on_the_grid(zone: str, step: int, span: Slot, listed: list[Slot]) -> None:
    assert trimmed([span], Rules(step_min=step, min_min=step), ZoneInfo(zone)) == listed


def test_many_resources_are_looked_at_in_as_many_queries_as_one(db: Session) -> None:
    house, firm, person = an_institution(db), an_organisation(db), a_person(db)
    quota = [{"limit": 8, "unit": "hours", "per": "day", "by": "organisation"}]
    ids = [a_resource(db, institution=house, rules={"quotas": quota, "waive_own_buffers": True}).id for _ in range(12)]
    wanted = Wanted(hours(0, 48), timedelta(hours=2))
    counts = []
    for few in (ids[:1], ids):
        with statements(db) as seen:
            assert set(rooms(db, few, wanted=wanted, askers=[asker_of(person.id, firm, frozenset())], now=NOW)) == set(few)
        counts.append(len(seen))
    assert counts[0] == counts[1] <= 5


def test_paused_resources_and_those_for_others_are_not_found(db: Session) -> None:
    house = an_institution(db)
    paused = a_resource(db, institution=house, state=ListingState.PAUSED)
    own = a_resource(db, institution=house, rules={"audience": [{"group": "own"}]})
    wanted = Wanted(hours(0, 48), timedelta(hours=2))
    staff = Asker(a_person(db).id, houses=frozenset({house.id}))
    for asker, found in ((STRANGER, set()), (staff, {own.id})):
        assert set(rooms(db, [paused.id, own.id], wanted=wanted, askers=[asker], now=NOW)) == found


@contextmanager
def statements(db: Session) -> Iterator[list[str]]:
    """What is sent to the database meanwhile."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        seen.append(statement)

    engine = db.get_bind()
    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)
