"""Assisted use claims an operator's time in the same transaction, all or nothing, and what is listed is granted."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, func, select
from sqlalchemy.orm import Session, sessionmaker

from booking import actions, queries
from booking.actions import CancelledBy
from booking.admission import SlotRefused, Wish
from booking.bundles.actions import BundleRefused, book_bundle
from booking.operators import actions as operators
from booking.operators.tables import Operator
from booking.outages.plans import Step, propose
from booking.presence.actions import finish
from booking.rules.actions import Further, RuleSet, set_rules
from booking.series.actions import book_series
from booking.series.edits import Change, Editor, edit_series
from booking.states import BookingState
from booking.swaps import actions as swaps
from booking.tables import Booking, Category, Claim, OnConflict
from booking.waiting import actions as waiting
from booking.waiting import offers
from booking.waiting.line import WaitingState
from marketplace.catalogue import queries as catalogue
from marketplace.permissions import Actor, Grant
from marketplace.refusals import Invalid, WrongState
from marketplace.roles import Role
from marketplace.slot import Slot
from marketplace.tables import Institution, Person, Resource
from tests.booking.asking import granted_at_once
from tests.builders import a_booking, a_member, a_person, a_resource, an_institution, an_organisation
from web.outages import end_outage, withdraw_outage
from web.running import audit

NOW = datetime(2026, 3, 9, 1, tzinfo=UTC)
DAY = datetime(2026, 3, 9, 16, tzinfo=UTC)
"""Midnight of Tuesday, 10 March 2026 in Shanghai."""
REQUIRED = {"mode": "required", "operators": [], "supervised_runs": 0}
OPTIONAL = {**REQUIRED, "mode": "optional"}
TUESDAY = [{"weekday": 1, "open_min": 9 * 60, "close_min": 12 * 60}]


def hours(start: float, end: float) -> Slot:
    return Slot(DAY + timedelta(hours=start), DAY + timedelta(hours=end))


@pytest.fixture
def house(db: Session) -> Institution:
    return an_institution(db)


def an_operator(db: Session, house: Institution, hours: list[dict[str, int]] | None = None) -> Operator:
    person = a_member(db, Role.TECHNICIAN, institution=house)
    return operators.add_operator(
        db, institution_id=house.id, person_id=person.id, hours=hours or [], actor_id=person.id, now=NOW
    )


def a_machine(db: Session, house: Institution, assistance: dict[str, Any], **rules: Any) -> Resource:
    machine = a_resource(db, institution=house)
    further = Further(assistance=assistance, **{k: v for k, v in rules.items() if k in Further.__slots__})
    plain = RuleSet(**{k: v for k, v in rules.items() if k in RuleSet.__slots__})
    set_rules(db, resource_id=machine.id, rules=plain, further=further, actor_id=None, now=NOW)
    return machine


def a_wish(db: Session, machine: Resource, slot: Slot, person: Person | None = None, **more: Any) -> Wish:
    return Wish(machine.id, slot, (person or a_person(db)).id, an_organisation(db).id, Category.EXT, **more)


def booked(db: Session, machine: Resource, slot: Slot, **more: Any) -> Booking:
    return actions.book(db, wish=a_wish(db, machine, slot, **more), now=NOW)


def refusal(db: Session, machine: Resource, slot: Slot, **more: Any) -> SlotRefused:
    with pytest.raises(SlotRefused) as caught:
        booked(db, machine, slot, **more)
    return caught.value


def attendant(db: Session, booking: Booking) -> str:
    held = select(Claim.resource_id).where(Claim.booking_id == booking.id, Claim.active, Claim.resource_id.startswith("opr_"))
    return db.scalars(held).one()


def test_two_machines_share_one_operator_and_the_refusal_proposes_when_one_is_free(db: Session, house: Institution) -> None:
    operator = an_operator(db, house, TUESDAY)
    one, other = a_machine(db, house, REQUIRED), a_machine(db, house, REQUIRED)
    assert queries.free_time(db, other.id, within=hours(0, 24), now=NOW) == [hours(9, 12)]
    first = booked(db, one, hours(9, 10))
    assert (first.assisted, attendant(db, first)) == (True, operator.id)
    assert queries.free_time(db, other.id, within=hours(0, 24), now=NOW) == [hours(10, 12)]
    refused = refusal(db, other, hours(9, 11))
    assert [reason.code for reason in refused.reasons] == ["no_operator_free"]
    assert refused.conflicts == ()
    assert refused.alternatives[0] == hours(10, 12)
    for way in refused.alternatives:
        booked(db, other, way)
    assert queries.busy_time(db, other.id, within=hours(9, 10)) == []
    assert audit(db) == []


def test_the_first_free_operator_in_the_order_of_their_ids_is_taken(db: Session, house: Institution) -> None:
    pool = sorted(an_operator(db, house).id for _ in range(3))
    machines = [a_machine(db, house, REQUIRED) for _ in range(4)]
    assert [attendant(db, booked(db, machine, hours(9, 10))) for machine in machines[:3]] == pool
    refusal(db, machines[3], hours(9.5, 10.5))
    booked(db, machines[3], hours(10, 11))


def test_a_pool_that_is_named_is_the_one_that_is_asked(db: Session, house: Institution) -> None:
    first, second = an_operator(db, house), an_operator(db, house)
    machine = a_machine(db, house, {**REQUIRED, "operators": [second.id]})
    assert attendant(db, booked(db, machine, hours(9, 10))) == second.id
    assert first.id < second.id
    stranger = an_operator(db, an_institution(db))
    with pytest.raises(Invalid):
        a_machine(db, house, {**REQUIRED, "operators": [stranger.id]})


def test_where_it_is_optional_only_those_who_ask_take_an_operators_time(db: Session, house: Institution) -> None:
    an_operator(db, house, TUESDAY)
    one, other = a_machine(db, house, OPTIONAL), a_machine(db, house, OPTIONAL)
    assert not booked(db, one, hours(1, 2)).assisted
    assert booked(db, one, hours(9, 10), assisted=True).assisted
    assert refusal(db, other, hours(9, 10), assisted=True).reasons[0].code == "no_operator_free"
    assert not booked(db, other, hours(9, 10)).assisted
    plain = a_resource(db, institution=house)
    assert refusal(db, plain, hours(9, 10), assisted=True).reasons[0].code == "no_assistance_offered"


def test_nobody_works_alone_before_the_supervised_runs(db: Session, house: Institution) -> None:
    an_operator(db, house)
    machine, person = a_machine(db, house, {**OPTIONAL, "supervised_runs": 2}), a_person(db)

    def used(days: int, *, assisted: bool) -> None:
        start = NOW - timedelta(days=days)
        a_booking(db, resource=machine, person=person, state=BookingState.COMPLETED, assisted=assisted, start=start)

    used(9, assisted=True)
    used(8, assisted=False)
    refused = refusal(db, machine, hours(9, 10), person=person)
    assert [(one.code, dict(one.values)) for one in refused.reasons] == [("supervised_run_first", {"runs": 2, "done": 1})]
    assert refused.alternatives == ()
    booked(db, machine, hours(9, 10), person=person, assisted=True)
    booked(db, machine, hours(11, 12), person=person, override="he built it")
    used(7, assisted=True)
    booked(db, machine, hours(13, 14), person=person)


def test_cancelling_moving_and_an_early_end_give_the_operators_time_back(db: Session, house: Institution) -> None:
    an_operator(db, house)
    one, other = a_machine(db, house, REQUIRED, cleaning_min=30), a_machine(db, house, REQUIRED)
    booking = booked(db, one, hours(9, 12))
    actions.move(db, booking_id=booking.id, slot=hours(10, 13), version=1, actor_id="per_1", now=NOW)
    booked(db, other, hours(9, 10))
    refusal(db, other, hours(12, 13))
    at = DAY + timedelta(hours=11)
    finish(db, booking_id=booking.id, actor_id="per_1", now=at)
    later = booked(db, other, hours(11, 12))
    actions.cancel(db, booking_id=later.id, by=CancelledBy.CUSTOMER, actor_id="per_1", now=NOW)
    booked(db, other, hours(11, 12))
    assert audit(db) == []


def test_a_booking_that_moves_to_a_machine_without_assistance_needs_nobody(db: Session, house: Institution) -> None:
    an_operator(db, house)
    one, plain = a_machine(db, house, REQUIRED), a_machine(db, house, REQUIRED)
    booking = booked(db, one, hours(9, 12))
    set_rules(db, resource_id=one.id, rules=RuleSet(), further=Further(), actor_id=None, now=NOW)
    with pytest.raises(SlotRefused):
        actions.move(db, booking_id=booking.id, slot=hours(10, 13), version=1, actor_id="per_1", now=NOW)
    moved = actions.move(
        db, booking_id=booking.id, slot=hours(10, 13), version=1, actor_id="per_1", override="alone then", now=NOW
    )
    assert not moved.assisted
    booked(db, plain, hours(10, 13))
    assert audit(db) == []


def test_a_bundle_and_a_series_take_operators_whole_or_not_at_all(db: Session, house: Institution) -> None:
    an_operator(db, house)
    one, other = a_machine(db, house, REQUIRED), a_machine(db, house, REQUIRED)
    both = [a_wish(db, one, hours(9, 10)), a_wish(db, other, hours(9, 10))]
    with pytest.raises(BundleRefused) as refused, db.begin_nested():
        book_bundle(db, wishes=both, hold_until=[None, None], now=NOW)
    assert [(reason.code, reason.values["part"]) for reason in refused.value.reasons] == [("no_operator_free", 1)]
    an_operator(db, house)
    made = book_bundle(db, wishes=both, hold_until=[None, None], now=NOW)
    assert len({attendant(db, booking) for booking in made}) == 2
    wish = a_wish(db, one, hours(33, 34))
    series = book_series(db, wish=wish, rrule="FREQ=DAILY;COUNT=4", on_conflict=OnConflict.REFUSE, now=NOW)
    assert all(booking.assisted for booking in series.bookings)
    assert len([attendant(db, booking) for booking in series.bookings]) == 4
    assert audit(db) == []


def test_a_plan_for_an_outage_knows_when_operators_are_free(db: Session, house: Institution) -> None:
    an_operator(db, house, [{"weekday": day, "open_min": 9 * 60, "close_min": 12 * 60} for day in range(7)])
    one, other = a_machine(db, house, REQUIRED), a_machine(db, house, REQUIRED)
    booked(db, one, hours(9, 11))
    booked(db, other, hours(33, 35))
    booked(db, other, hours(-15, -13))
    (proposal,) = propose(db, resource_id=one.id, slot=hours(9, 12), now=NOW)
    assert (proposal.step, proposal.slot) == (Step.SHIFT, hours(57, 59))


def test_who_is_away_is_replaced_where_somebody_else_is_free(db: Session, house: Institution) -> None:
    away, other = an_operator(db, house), an_operator(db, house, TUESDAY)
    one, two, three = (a_machine(db, house, REQUIRED) for _ in range(3))
    early, late = booked(db, one, hours(9, 10)), booked(db, two, hours(14, 15))
    found = operators.record_absence(db, operator_id=away.id, slot=hours(8, 18), reason="ill", actor_id="per_1", now=NOW)
    assert [row.id for row in found.taken_over] == [early.id]
    assert [row.id for row in found.uncovered] == [late.id]
    assert (attendant(db, early), attendant(db, late)) == (other.id, away.id)
    refusal(db, three, hours(9, 10))
    refusal(db, three, hours(16, 17))
    actions.cancel(db, booking_id=late.id, by=CancelledBy.CUSTOMER, actor_id="per_1", now=NOW)
    refusal(db, three, hours(14, 15))
    booked(db, three, hours(18, 19))
    assert audit(db) == []


@pytest.mark.parametrize("way", ["end", "withdraw"])
def test_who_is_back_earlier_can_be_booked_and_who_waits_for_that_is_looked_at(db: Session, house: Institution, way: str) -> None:
    away = an_operator(db, house)
    machine, firm = a_machine(db, house, REQUIRED), an_organisation(db)
    found = operators.record_absence(db, operator_id=away.id, slot=hours(8, 18), reason="ill", actor_id="per_1", now=NOW)
    person = a_member(db, Role.MEMBER, organisation=firm)
    wish = Wish(machine.id, hours(13, 14), person.id, firm.id, Category.EXT, assisted=True)
    entry = waiting.join(db, wish=wish, length=None, now=NOW)
    waiting.look(db, now=NOW)
    if way == "end":
        end_outage(db, outage_id=found.outage.id, end=hours(8, 12).end, actor_id="per_1", now=NOW)
        refusal(db, machine, hours(9, 10))
    else:
        withdraw_outage(db, outage_id=found.outage.id, actor_id="per_1", now=NOW)
        booked(db, machine, hours(9, 10))
    waiting.look(db, now=NOW)
    assert entry.state is WaitingState.OFFERED
    assert audit(db) == []


def test_an_operator_leaves_once_others_take_over_and_may_come_back(db: Session, house: Institution) -> None:
    leaving = an_operator(db, house)
    person = leaving.person_id
    machine = a_machine(db, house, REQUIRED)
    booked(db, machine, hours(9, 10))
    with pytest.raises(WrongState), db.begin_nested():
        operators.remove_operator(db, operator_id=leaving.id, actor_id="per_1", now=NOW)
    other = an_operator(db, house)
    operators.remove_operator(db, operator_id=leaving.id, actor_id="per_1", now=NOW)
    assert attendant(db, booked(db, machine, hours(11, 12))) == other.id
    back = operators.add_operator(db, institution_id=house.id, person_id=person, hours=[], actor_id="per_1", now=NOW)
    assert back.id == leaving.id
    with pytest.raises(Invalid):
        operators.add_operator(db, institution_id=house.id, person_id=person, hours=[], actor_id="per_1", now=NOW)
    with pytest.raises(Invalid):
        operators.add_operator(db, institution_id=house.id, person_id=a_person(db).id, hours=[], actor_id="per_1", now=NOW)


def test_an_operators_time_is_listed_nowhere(db: Session, house: Institution) -> None:
    operator = an_operator(db, house)
    a_machine(db, house, REQUIRED)
    everyone = Actor("per_1", grants=frozenset({Grant(Role.OPERATOR), Grant(Role.MANAGER, house.id)}))
    assert len(catalogue.resources_of(db, [house.id])) == 1
    assert catalogue.visible(db, everyone, [operator.id]) == []


def test_without_such_rules_a_booking_costs_no_further_statement(db: Session, house: Institution) -> None:
    an_operator(db, house)
    plain, assisted = a_resource(db, institution=house), a_machine(db, house, REQUIRED)
    counts = []
    for machine in (plain, assisted):
        wish = a_wish(db, machine, hours(9, 10))
        seen: list[str] = []

        def note(_c: Any, _u: Any, statement: str, *_more: Any, seen: list[str] = seen) -> None:
            seen.append(statement)

        engine = db.get_bind()
        event.listen(engine, "before_cursor_execute", note)
        actions.book(db, wish=wish, now=NOW)
        event.remove(engine, "before_cursor_execute", note)
        assert any("operators" in statement for statement in seen) == (machine is assisted)
        assert not any("qualification_grants" in statement for statement in seen)
        counts.append(len(seen))
    assert counts[1] - counts[0] == 2  # their rows are locked, then read


def test_of_many_who_ask_for_the_one_operator_at_once_one_is_granted(committed_db: sessionmaker[Session]) -> None:
    with committed_db.begin() as session:
        house = an_institution(session)
        an_operator(session, house)
        ids = [a_machine(session, house, REQUIRED).id for _ in range(4)]
    granted = granted_at_once(committed_db, ids * 2, hours(2, 3))
    assert len(granted) == 1
    with committed_db() as session:
        assert audit(session) == []
        assert session.scalar(select(func.count()).where(Claim.active, Claim.resource_id.startswith("opr_"))) == 1


STEPS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 20), st.integers(1, 6), st.booleans()), min_size=1, max_size=12)


@pytest.mark.laws
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_what_is_listed_is_granted_and_what_is_refused_was_not_listed(
    db: Session, steps: list[tuple[int, int, int, bool]]
) -> None:
    house = an_institution(db)
    an_operator(db, house, TUESDAY)
    an_operator(db, house, [{"weekday": 1, "open_min": 0, "close_min": 10 * 60}])
    machines = [
        a_machine(db, house, REQUIRED, setup_min=30),
        a_machine(db, house, REQUIRED, waive_own_buffers=True, cleaning_min=30),
        a_machine(db, house, OPTIONAL),
    ]
    made: list[Booking] = []
    for which, start, length, cancels in steps:
        machine, slot = machines[which], hours(start / 2, (start + length) / 2)
        if cancels and made:
            actions.cancel(db, booking_id=made.pop(0).id, by=CancelledBy.CUSTOMER, actor_id="per_1", now=NOW)
        listed = any(span.contains(slot) for span in queries.free_time(db, machine.id, within=slot, now=NOW))
        try:
            made.append(booked(db, machine, slot))
        except SlotRefused:
            assert not listed
        else:
            assert listed
    assert audit(db) == []


def test_what_waits_is_offered_with_an_operator_and_only_where_one_is_free(db: Session, house: Institution) -> None:
    an_operator(db, house)
    required, optional = a_machine(db, house, REQUIRED), a_machine(db, house, OPTIONAL)
    held, other = booked(db, required, hours(9, 11)), booked(db, optional, hours(9, 11))
    firm = an_organisation(db)
    wishes = [
        Wish(one.id, hours(9, 11), a_member(db, Role.MEMBER, organisation=firm).id, firm.id, Category.EXT, assisted=True)
        for one in (optional, required)
    ]
    entry, late = (waiting.join(db, wish=wish, length=None, now=NOW) for wish in wishes)
    for booking in (other, held):
        actions.cancel(db, booking_id=booking.id, by=CancelledBy.CUSTOMER, actor_id=booking.person_id, now=NOW)
    offers.offer_freed(db, resource_id=optional.id, freed=hours(9, 11), now=NOW)
    offers.offer_freed(db, resource_id=required.id, freed=hours(9, 11), now=NOW)
    assert (entry.state, late.state) == (WaitingState.OFFERED, WaitingState.WAITING)
    waiting.decline(db, entry_id=entry.id, now=NOW)
    waiting.look(db, now=NOW)
    assert late.state is WaitingState.OFFERED
    _, wish = waiting.take_up(db, entry_id=late.id, now=NOW)
    made = actions.book(db, wish=wish, now=NOW)
    waiting.settle(db, entry=late, booking=made, now=NOW)
    assert made.assisted
    assert audit(db) == []


def test_an_exchange_of_machines_takes_operators_along(db: Session, house: Institution) -> None:
    an_operator(db, house)
    required, optional = a_machine(db, house, REQUIRED), a_machine(db, house, OPTIONAL)
    one, other = booked(db, required, hours(9, 11)), booked(db, optional, hours(13, 15))
    assert (one.assisted, other.assisted) == (True, False)
    swaps.exchange(db, booking_id=one.id, with_id=other.id, deciding=swaps.Deciding(one.person_id, one.id, True), now=NOW)
    assert (one.resource_id, one.assisted, other.assisted) == (optional.id, True, True)
    assert audit(db) == []


def test_an_edited_series_keeps_its_operators(db: Session, house: Institution) -> None:
    an_operator(db, house)
    machine = a_machine(db, house, OPTIONAL)
    wish = a_wish(db, machine, hours(9, 10), assisted=True)
    made = book_series(db, wish=wish, rrule="FREQ=DAILY;COUNT=3", on_conflict=OnConflict.REFUSE, now=NOW)
    change = Change(None, hours(9.5, 10.5), None, OnConflict.REFUSE)
    editor = Editor(wish.person_id, [one.id for one in made.bookings], CancelledBy.CUSTOMER)
    edited = edit_series(db, series_id=made.series.id, version=made.series.version, change=change, editor=editor, now=NOW)
    assert [one.assisted for one in edited.moved] == [True] * 3
    assert audit(db) == []
