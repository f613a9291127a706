"""Who may book and since when, whose bookings stand at once, and when a request is over that nobody answers."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from booking import actions, queries
from booking.admission import SlotRefused, Wish
from booking.audience import Customer, Group, Welcome, reasons, welcome_from
from booking.rules.actions import Further, RuleSet, set_rules
from booking.states import BookingState
from booking.tables import Approval, Category
from marketplace.refusals import Invalid, WrongState
from marketplace.slot import Slot
from marketplace.tables import CustomerClass, Organisation, Resource
from tests.builders import a_person, a_resource, an_institution, an_organisation

SHANGHAI = ZoneInfo("Asia/Shanghai")
JULY = date(2026, 7, 1)
STAFF, FIRM = Customer(None, Group.OWN), Customer("org_1", Group.INDUSTRY)


def one_hour(start: datetime) -> Slot:
    return Slot(start, start + timedelta(hours=1))


LAST_OF_JUNE = one_hour(datetime(2026, 6, 30, 23, 30, tzinfo=SHANGHAI))
FIRST_OF_JULY = one_hour(datetime(2026, 7, 1, tzinfo=SHANGHAI))


@pytest.mark.parametrize(
    ("audience", "customer", "slot", "codes"),
    [
        ([], FIRM, LAST_OF_JUNE, []),
        ([Welcome(Group.OWN)], STAFF, LAST_OF_JUNE, []),
        ([Welcome(Group.OWN)], FIRM, LAST_OF_JUNE, ["not_in_audience"]),
        ([Welcome(Group.OWN), Welcome(Group.INDUSTRY, since=JULY)], FIRM, LAST_OF_JUNE, ["before_audience_since"]),
        ([Welcome(Group.OWN), Welcome(Group.INDUSTRY, since=JULY)], FIRM, FIRST_OF_JULY, []),
        ([Welcome(organisation_id="org_1"), Welcome(Group.INDUSTRY, since=JULY)], FIRM, LAST_OF_JUNE, []),
        ([Welcome(organisation_id="org_2")], FIRM, LAST_OF_JUNE, ["not_in_audience"]),
        ([Welcome(organisation_id="org_2")], Customer(None, None), LAST_OF_JUNE, ["not_in_audience"]),
    ],
)
def test_who_may_book_from_which_local_day(audience: list[Welcome], customer: Customer, slot: Slot, codes: list[str]) -> None:
    assert [reason.code for reason in reasons(audience, customer, slot, SHANGHAI)] == codes


def test_a_named_organisation_is_told_to_nobody() -> None:
    (reason,) = reasons([Welcome(organisation_id="org_2"), Welcome(Group.OWN)], FIRM, LAST_OF_JUNE, SHANGHAI)
    assert reason.values == {"groups": ["own"]}
    assert reason.override_by == ("manager", "operator")


groups, firms = st.sampled_from([*Group, None]), st.sampled_from(["x", "y", None])
days = st.one_of(st.none(), st.dates(date(2026, 1, 1), date(2026, 12, 31)))


@given(st.lists(st.builds(Welcome, groups, firms, days), min_size=1), st.builds(Customer, firms, groups), st.data())
def test_a_longer_list_never_keeps_out_who_was_let_in(audience: list[Welcome], customer: Customer, data: st.DataObject) -> None:
    shorter = data.draw(st.lists(st.sampled_from(audience), min_size=1))
    before, after = welcome_from(shorter, customer), welcome_from(audience, customer)
    assert before is None or (after is not None and after <= before)


NOW = datetime(2026, 3, 9, 1, tzinfo=UTC)
DAY = datetime(2026, 3, 10, tzinfo=UTC)


def hours(start: float, end: float) -> Slot:
    return Slot(DAY + timedelta(hours=start), DAY + timedelta(hours=end))


def ruled(db: Session, approval: Approval = Approval.INSTANT, **further: Any) -> Resource:
    resource = a_resource(db)
    rules = RuleSet(approval=approval)
    set_rules(db, resource_id=resource.id, rules=rules, further=Further(**further), actor_id=None, now=NOW)
    return resource


def wanted(db: Session, resource: Resource, firm: Organisation | None, slot: Slot) -> Wish:
    return Wish(resource.id, slot, a_person(db).id, firm.id if firm else None, Category.EXT)


def refusal(db: Session, wish: Wish) -> SlotRefused:
    with pytest.raises(SlotRefused) as caught:
        actions.book(db, wish=wish, now=NOW)
    return caught.value


def test_a_department_is_own_in_its_house_and_of_no_group_elsewhere(db: Session) -> None:
    resource = ruled(db, audience=[{"group": "own"}])
    house = an_institution(db)
    department = an_organisation(db, customer_class=CustomerClass.INTERNAL, institution_id=resource.institution_id)
    foreign = an_organisation(db, customer_class=CustomerClass.INTERNAL, institution_id=house.id)
    actions.book(db, wish=wanted(db, resource, department, hours(2, 3)), now=NOW)
    actions.book(db, wish=wanted(db, resource, None, hours(3, 4)), now=NOW)
    for outsider in (foreign, an_organisation(db)):
        refused = refusal(db, wanted(db, resource, outsider, hours(5, 6)))
        assert [reason.code for reason in refused.reasons] == ["not_in_audience"]
        assert refused.alternatives == ()


def test_before_the_day_the_ways_out_begin_on_it(db: Session) -> None:
    resource = ruled(db, audience=[{"group": "own"}, {"group": "industry", "since": "2026-03-12"}])
    refused = refusal(db, wanted(db, resource, an_organisation(db), hours(2, 3)))
    assert [reason.code for reason in refused.reasons] == ["before_audience_since"]
    assert refused.alternatives == (hours(40, 41), hours(41, 42), hours(42, 43))  # midnight of the 12th in Shanghai
    for slot in refused.alternatives:
        actions.book(db, wish=wanted(db, resource, an_organisation(db), slot), now=NOW)


def test_who_is_no_longer_meant_cannot_move_a_booking_either(db: Session) -> None:
    resource, firm = a_resource(db), an_organisation(db)
    booking = actions.book(db, wish=wanted(db, resource, firm, hours(2, 3)), now=NOW)
    set_rules(db, resource_id=resource.id, rules=RuleSet(), further=Further(audience=[{"group": "own"}]), actor_id=None, now=NOW)
    with pytest.raises(SlotRefused):
        actions.move(db, booking_id=booking.id, slot=hours(4, 5), version=1, actor_id=booking.person_id, now=NOW)


def test_bookings_of_trusted_organisations_stand_at_once_where_others_ask(db: Session) -> None:
    friend, other = an_organisation(db), an_organisation(db)
    resource = ruled(db, Approval.REQUEST, trusted=[friend.id])
    at_once = actions.book(db, wish=wanted(db, resource, friend, hours(2, 3)), now=NOW)
    asked = actions.book(db, wish=wanted(db, resource, other, hours(3, 4)), now=NOW)
    assert (at_once.state, asked.state) == (BookingState.CONFIRMED, BookingState.REQUESTED)
    assert actions.ask_again(db, booking_id=at_once.id, now=NOW).state is BookingState.CONFIRMED
    hold = NOW + timedelta(minutes=10)
    held = [actions.book(db, wish=wanted(db, resource, firm, hours(n, n + 1)), hold_until=hold, now=NOW)
            for n, firm in ((5, friend), (6, other))]  # fmt: skip
    states = [actions.confirm_hold(db, booking_id=row.id, now=NOW).state for row in held]
    assert states == [BookingState.CONFIRMED, BookingState.REQUESTED]


def test_a_request_is_over_at_the_deadline_to_the_second_and_its_slot_is_free(db: Session) -> None:
    resource = ruled(db, Approval.REQUEST, decide_within_h=4)
    asked = actions.book(db, wish=wanted(db, resource, an_organisation(db), hours(2, 3)), now=NOW)
    late = actions.book(
        db, wish=wanted(db, resource, an_organisation(db), Slot(NOW + timedelta(hours=2), hours(0, 1).start)), now=NOW
    )
    deadline = NOW + timedelta(hours=4)
    assert asked.decide_by == deadline
    assert queries.undecided_requests(db, now=NOW + timedelta(hours=2)) == [late.id]  # its start comes first
    actions.expire(db, booking_id=late.id, now=NOW + timedelta(hours=2))
    assert queries.undecided_requests(db, now=deadline - timedelta(seconds=1)) == []
    assert queries.undecided_requests(db, now=deadline) == [asked.id]
    with pytest.raises(WrongState):
        actions.approve(db, booking_id=asked.id, actor_id=asked.person_id, now=deadline)
    assert actions.expire(db, booking_id=asked.id, now=deadline).state is BookingState.EXPIRED
    again = actions.book(db, wish=wanted(db, resource, an_organisation(db), hours(2, 3)), now=NOW)
    just = deadline - timedelta(seconds=1)
    assert actions.approve(db, booking_id=again.id, actor_id=again.person_id, now=just).state is BookingState.CONFIRMED
    assert queries.undecided_requests(db, now=deadline) == []


@pytest.mark.parametrize("within_h", [None, 8784])
def test_nobody_says_yes_to_a_use_that_has_begun(db: Session, within_h: int | None) -> None:
    resource = ruled(db, Approval.REQUEST, decide_within_h=within_h)
    asked = actions.book(db, wish=wanted(db, resource, an_organisation(db), hours(2, 3)), now=NOW)
    assert asked.answer_by == asked.starts_at
    with pytest.raises(WrongState):
        actions.approve(db, booking_id=asked.id, actor_id=asked.person_id, now=asked.starts_at)


def test_a_booking_that_is_asked_for_again_has_a_deadline_from_then(db: Session) -> None:
    resource = ruled(db, Approval.REQUEST, decide_within_h=4)
    booking = actions.book(db, wish=wanted(db, resource, an_organisation(db), hours(2, 3)), now=NOW)
    actions.approve(db, booking_id=booking.id, actor_id=booking.person_id, now=NOW)
    later = NOW + timedelta(hours=9)
    assert actions.ask_again(db, booking_id=booking.id, now=later).decide_by == later + timedelta(hours=4)


@pytest.mark.parametrize(
    "further",
    [{"audience": [{"organisation_id": "org_none"}]}, {"trusted": ["org_none"]}, {"decide_within_h": 0}],
)
def test_lists_of_nobody_and_deadlines_of_nothing_are_refused(db: Session, further: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        ruled(db, **further)
