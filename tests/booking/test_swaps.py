"""Two bookings exchange their places, whole or not at all, by every rule."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from booking import actions
from booking.actions import CancelledBy
from booking.admission import Wish
from booking.rules.actions import Further, RuleSet, set_rules
from booking.states import BookingState
from booking.swaps import actions as swaps
from booking.swaps.actions import Deciding, SwapRefused
from booking.swaps.tables import Swap, SwapState
from booking.tables import Approval, Booking, Category, Claim
from marketplace.refusals import Invalid, WrongState
from marketplace.slot import Slot
from marketplace.tables import Institution, Message, Resource
from tests.booking.test_series import NOW, at
from tests.builders import a_person, a_resource, an_organisation
from web.running import audit


class Two:
    """Two firms with a booking each, on one machine or on two of one house."""

    def __init__(self, db: Session) -> None:
        self.db: Session = db
        self.machine: Resource = a_resource(db, timezone="Europe/Berlin")
        house = db.get_one(Institution, self.machine.institution_id)
        self.other_machine: Resource = a_resource(db, institution=house, timezone="Europe/Berlin")
        self.firms = [an_organisation(db).id for _ in range(2)]
        self.people = [a_person(db).id for _ in range(2)]

    def book(self, firm: int, slot: Slot, machine: Resource | None = None) -> Booking:
        wish = Wish((machine or self.machine).id, slot, self.people[firm], self.firms[firm], Category.EXT)
        return actions.book(self.db, wish=wish, now=NOW)

    def propose(self, one: Booking, other: Booking, now: datetime = NOW) -> Swap:
        return swaps.propose(self.db, booking_id=one.id, with_id=other.id, actor_id=one.person_id, now=now)

    def accept(self, swap: Swap, now: datetime = NOW) -> Swap:
        return swaps.accept(self.db, swap_id=swap.id, actor_id=self.people[1], now=now)

    def rules(self, further: Further | None = None, machine: Resource | None = None, **values: object) -> None:
        resource, ruled = (machine or self.machine).id, RuleSet(**values)  # type: ignore[arg-type]
        set_rules(self.db, resource_id=resource, rules=ruled, further=further or Further(), actor_id=None, now=NOW)


@pytest.fixture
def two(db: Session) -> Two:
    return Two(db)


def kinds(db: Session, person_id: str) -> list[str]:
    """What that person was told, by the names of the messages: of one millisecond none is first."""
    return sorted(db.scalars(select(Message.kind).where(Message.person_id == person_id)))


def test_they_exchange_once_the_other_agrees(db: Session, two: Two) -> None:
    one, other = two.book(0, at("2027-03-15")), two.book(1, at("2027-03-16", "09:00", "13:00"))
    swap = two.propose(one, other)
    assert (one.slot, other.slot) == (at("2027-03-15"), at("2027-03-16", "09:00", "13:00"))
    assert swap.answer_by == NOW + swaps.ANSWER_WITHIN
    two.accept(swap)
    assert (one.slot, other.slot) == (at("2027-03-16", "09:00", "13:00"), at("2027-03-15"))
    assert (one.version, other.version, swap.state) == (2, 2, SwapState.ACCEPTED)
    assert kinds(db, two.people[0]) == ["booking_changed", "booking_confirmed"]
    assert kinds(db, two.people[1]) == ["booking_changed", "booking_confirmed", "swap_proposed"]
    assert audit(db) == []


def test_neighbours_exchange_although_their_buffers_met(db: Session, two: Two) -> None:
    two.rules(cleaning_min=30, setup_min=30)
    one, other = two.book(0, at("2027-03-15", "09:00", "10:00")), two.book(1, at("2027-03-15", "11:00", "14:00"))
    two.accept(two.propose(one, other))
    assert (one.slot, other.slot) == (at("2027-03-15", "11:00", "14:00"), at("2027-03-15", "09:00", "10:00"))
    assert len(db.scalars(select(Claim).where(Claim.active)).all()) == 2
    assert audit(db) == []


def test_machines_are_exchanged_too(db: Session, two: Two) -> None:
    one, other = two.book(0, at("2027-03-15")), two.book(1, at("2027-03-15"), two.other_machine)
    rules = other.rules_id
    two.accept(two.propose(one, other))
    assert (one.resource_id, other.resource_id) == (two.other_machine.id, two.machine.id)
    assert one.rules_id == rules
    assert audit(db) == []


def test_what_the_rules_forbid_is_refused_without_telling_of_the_other_side(db: Session, two: Two) -> None:
    one, other = two.book(0, at("2027-03-15")), two.book(1, at("2027-03-16"))
    quota = Further(quotas=[{"limit": 1, "unit": "count", "per": "day", "by": "organisation"}])
    two.book(1, at("2027-03-15", "14:00", "15:00"))
    two.rules(quota)
    with pytest.raises(SwapRefused) as caught:
        two.propose(one, other)
    assert [(reason.code, dict(reason.values)) for reason in caught.value.reasons] == [("other_side_refused", {})]
    assert (one.slot, one.version, other.version) == (at("2027-03-15"), 1, 1)
    assert audit(db) == []
    two.rules(max_min=60)
    with pytest.raises(SwapRefused) as caught:
        two.propose(one, other)
    assert [(reason.code, dict(reason.values)) for reason in caught.value.reasons] == [("own_side_refused", {})]
    assert db.scalars(select(Swap)).all() == []


def test_the_rules_are_asked_again_when_it_is_accepted(db: Session, two: Two) -> None:
    one, other = two.book(0, at("2027-03-15")), two.book(1, at("2027-03-16"))
    swap = two.propose(one, other)
    two.rules(max_min=60)
    with pytest.raises(SwapRefused):
        two.accept(swap)
    assert (one.slot, other.slot, swap.state) == (at("2027-03-15"), at("2027-03-16"), SwapState.PROPOSED)
    assert audit(db) == []


def test_what_has_changed_since_is_not_exchanged(db: Session, two: Two) -> None:
    one, other = two.book(0, at("2027-03-15")), two.book(1, at("2027-03-16"))
    swap = two.propose(one, other)
    actions.move(db, booking_id=one.id, slot=at("2027-03-18"), version=1, actor_id=two.people[0], now=NOW)
    with pytest.raises(WrongState):
        two.accept(swap)
    swaps.expire_overdue(db, now=NOW)
    assert swap.state is SwapState.EXPIRED
    again = two.propose(one, other)
    actions.cancel(db, booking_id=other.id, by=CancelledBy.CUSTOMER, actor_id=two.people[1], now=NOW)
    with pytest.raises(WrongState):
        two.accept(again)


def test_a_deadline_tells_nothing_of_the_other_and_what_has_begun_is_not_exchanged(db: Session, two: Two) -> None:
    now = at("2027-03-15", "07:00", "08:00").start
    one, other = two.book(0, at("2027-03-20")), two.book(1, at("2027-03-15"))
    swap = two.propose(one, other, now)
    assert swap.answer_by == now + swaps.ANSWER_WITHIN
    with pytest.raises(WrongState) as begun:
        two.accept(swap, other.starts_at)
    assert begun.value.values["state"] == "not_ahead"
    swaps.expire_overdue(db, now=other.starts_at)
    assert swap.state is SwapState.PROPOSED
    two.propose(two.book(0, at("2027-03-21")), two.book(1, at("2027-03-22")), now)


@pytest.mark.parametrize("state", [BookingState.CANCELLED, BookingState.HELD, BookingState.NO_SHOW])
def test_how_the_other_stands_is_not_told(db: Session, two: Two, state: BookingState) -> None:
    one, other = two.book(0, at("2027-03-15")), two.book(1, at("2027-03-16"))
    other.state = state
    db.flush()
    with pytest.raises(WrongState) as caught:
        two.propose(one, other)
    assert dict(caught.value.values) == {"state": "not_ahead", "move": "swap"}


@pytest.mark.parametrize("state", [SwapState.DECLINED, SwapState.EXPIRED])
def test_an_answer_tells_whoever_proposed_of_their_own_booking_alone(db: Session, two: Two, state: SwapState) -> None:
    one, other = two.book(0, at("2027-03-15")), two.book(1, at("2027-03-16"), two.other_machine)
    swap = two.propose(one, other)
    swaps.close(db, swap_id=swap.id, state=state, actor_id=two.people[1], now=NOW)
    db.flush()
    [told] = db.scalars(select(Message.data).where(Message.person_id == two.people[0], Message.kind.startswith("swap_")))
    slot = {"start": one.starts_at.isoformat(), "end": one.ends_at.isoformat()}
    assert told == {"booking_id": one.id, "resource_id": two.machine.id, "swap_id": swap.id, **slot}


def test_a_proposal_ends_at_its_deadline_and_at_its_own_start(db: Session, two: Two) -> None:
    one, other = two.book(0, at("2027-03-15")), two.book(1, at("2027-03-16"))
    swap = two.propose(one, other)
    with pytest.raises(WrongState):
        two.accept(swap, swap.answer_by)
    swaps.expire_overdue(db, now=swap.answer_by - timedelta(seconds=1))
    assert swap.state is SwapState.PROPOSED
    swaps.expire_overdue(db, now=swap.answer_by)
    assert swap.state is SwapState.EXPIRED
    assert "swap_expired" in kinds(db, two.people[0])
    near = two.propose(one, other, at("2027-03-15", "07:00", "08:00").start)
    assert near.answer_by == one.starts_at


def test_one_open_proposal_a_booking_declined_or_withdrawn_first(db: Session, two: Two) -> None:
    one, other, third = (two.book(n % 2, at(f"2027-03-{15 + n}")) for n in range(3))
    swap = two.propose(one, other)
    for pair in ((one, third), (other, third), (other, one)):
        with pytest.raises(WrongState):
            two.propose(*pair)
    swaps.close(db, swap_id=swap.id, state=SwapState.DECLINED, actor_id=two.people[1], now=NOW)
    assert "swap_declined" in kinds(db, two.people[0])
    with pytest.raises(WrongState):
        two.accept(swap)
    swap = two.propose(one, other)
    swaps.close(db, swap_id=swap.id, state=SwapState.WITHDRAWN, actor_id=two.people[0], now=NOW)
    assert "swap_withdrawn" in kinds(db, two.people[1])
    assert two.propose(other, third).state is SwapState.PROPOSED


def test_only_what_is_ahead_in_one_house_is_exchanged(db: Session, two: Two) -> None:
    one, other = two.book(0, at("2027-03-15")), two.book(1, at("2027-03-16"))
    far = two.book(1, at("2027-03-15"), a_resource(db))
    wish = Wish(two.other_machine.id, at("2027-03-15"), two.people[1], None, Category.SELF)
    own = actions.book(db, wish=wish, now=NOW)
    for bad in (far, own, one):
        with pytest.raises(Invalid):
            two.propose(one, bad)
    with pytest.raises(WrongState):
        two.propose(one, other, one.starts_at)


def test_where_the_publisher_decides_both_need_a_new_yes_unless_the_publisher_exchanges_them(db: Session, two: Two) -> None:
    one, other = two.book(0, at("2027-03-15")), two.book(1, at("2027-03-16"))
    two.rules(approval=Approval.REQUEST)
    two.accept(two.propose(one, other))
    assert {one.state, other.state} == {BookingState.REQUESTED}
    assert {kind.value for kind in db.scalars(select(Claim.kind).where(Claim.active))} == {"request"}
    for row in (one, other):
        actions.approve(db, booking_id=row.id, actor_id=two.people[0], now=NOW)
    deciding = Deciding(two.people[0], one.id, decides=True)
    swaps.exchange(db, booking_id=one.id, with_id=other.id, deciding=deciding, now=NOW)
    assert {one.state, other.state} == {BookingState.CONFIRMED}
