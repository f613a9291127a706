"""Every chain that is proposed is booked as it stands, at the prices that it told."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from booking.actions import book
from booking.admission import SlotRefused, Wish
from booking.operators.actions import add_operator
from booking.tables import Category
from marketplace.catalogue.search import index_resource
from marketplace.money import Money
from marketplace.permissions import Actor, Grant
from marketplace.roles import Role
from marketplace.slot import Slot
from tests.builders import a_member, a_person, a_resource, an_institution, an_organisation
from web import chains, checkout
from web.chains import AskedChain, AskedStep

NOW = datetime(2026, 3, 9, 1, 7, tzinfo=UTC)
HOUR = timedelta(hours=1)
RULES = st.fixed_dictionaries(
    {
        "step_min": st.sampled_from([15, 30, 60]),
        "min_min": st.sampled_from([30, 60]),
        "setup_min": st.sampled_from([0, 30]),
        "cleaning_min": st.sampled_from([0, 45]),
        "waive_own_buffers": st.booleans(),
        "assistance": st.sampled_from([{}, {"mode": "optional", "operators": [], "supervised_runs": 0}]),
        "hours": st.sampled_from([[], [{"weekday": day, "open_min": 480, "close_min": 1080} for day in range(7)]]),
        "quotas": st.sampled_from([[], [{"limit": 1, "unit": "count", "per": "day", "by": "organisation"}]]),
    }
)
ATTENDED = [{"weekday": day, "open_min": 600, "close_min": 960} for day in range(7)]
NAMES = st.sampled_from(["镀膜", "退火", "衍射"])
MACHINES = st.lists(st.tuples(st.integers(0, 1), NAMES, RULES, st.integers(1, 9)), min_size=2, max_size=5)
TAKEN = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 40), st.integers(1, 9)), max_size=6)
STEPS = st.lists(
    st.builds(
        AskedStep,
        text=NAMES,
        length=st.sampled_from([HOUR, 3 * HOUR]),
        gap_min=st.sampled_from([timedelta(), HOUR]),
        gap_max=st.sampled_from([None, 4 * HOUR]),
        assisted=st.booleans(),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    machines=MACHINES,
    steps=STEPS,
    taken=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 40), st.integers(1, 9)), max_size=6),
)
def test_every_proposal_is_granted_whole_and_costs_what_it_told(
    db: Session, machines: list[tuple[int, str, dict[str, Any], int]], steps: list[AskedStep], taken: list[tuple[int, int, int]]
) -> None:
    with db.begin_nested() as undone:
        houses, firm, person = [an_institution(db), an_institution(db)], an_organisation(db), a_person(db)
        made = []
        for house in houses:
            operator = a_member(db, Role.TECHNICIAN, institution=house)
            add_operator(db, institution_id=house.id, person_id=operator.id, hours=ATTENDED, actor_id=None, now=NOW)
        for house, name, rules, price in machines:
            made.append(a_resource(db, institution=houses[house], name=name, name_en=None, rules=rules, price_minor=price * 1000))
            index_resource(db, made[-1])
        for number, hour, length in taken:
            slot = Slot(NOW.replace(minute=0) + hour * HOUR, NOW.replace(minute=0) + (hour + length) * HOUR)
            wish = Wish(made[number % len(made)].id, slot, person.id, an_organisation(db).id, Category.EXT)
            try:
                with db.begin_nested():
                    book(db, wish=wish, now=NOW)
            except SlotRefused:
                continue
        actor = Actor(person.id, grants=frozenset({Grant(Role.MEMBER, organisation_id=firm.id)}))
        asked = AskedChain(steps, Slot(NOW, NOW + 72 * HOUR), Money(60_000, "CNY"))
        answer = chains.propose(db, actor=actor, asked=asked, sort="earliest", limit=10, now=NOW)
        assert bool(answer.proposals) != bool(answer.unserved or answer.why)
        for one in answer.proposals:
            assert sum(part.price.minor for part in one.parts) == one.totals[0].minor <= 60_000
            with db.begin_nested() as tried:
                orders = [
                    checkout.Order(part.resource.id, part.slot, quantity=part.quantity, assisted=part.assisted)
                    for part in one.parts
                ]
                booked = checkout.book_bundle(db, actor=actor, orders=orders, now=NOW, hold=HOUR)
                assert [quote for _, quote in booked] == [part.price for part in one.parts]
                tried.rollback()
        undone.rollback()
