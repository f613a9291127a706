"""What is said afterwards: one rating of a fulfilled use, and why requests came to nothing."""

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from booking import actions
from booking.actions import CancelledBy, note_refusal
from booking.ratings.actions import rate
from booking.ratings.queries import EDIT_WITHIN, RATE_WITHIN, ratings_of, standings
from booking.ratings.tables import Rating
from booking.requests import actions as requests
from booking.requests.queries import end_of, lost_requests_in, lost_requests_of
from booking.requests.tables import Grounds
from booking.rules.actions import RuleSet, set_rules
from booking.states import BookingState
from booking.tables import Approval, Booking
from marketplace.refusals import Invalid, Reason, WrongState
from marketplace.tables import AuditEntry
from tests.booking.test_series import NOW, Asks, at
from web.running import audit


@pytest.fixture
def ask(db: Session) -> Asks:
    return Asks(db)


def used(ask: Asks, day: str) -> Booking:
    row = ask.alone(at(day))
    return actions.conclude(ask.db, booking_id=row.id, outcome=BookingState.COMPLETED, now=row.ends_at)


def test_a_fulfilled_use_is_rated_once_and_mended_for_a_fortnight(db: Session, ask: Asks) -> None:
    row = used(ask, "2027-03-15")
    rate(db, booking_id=row.id, stars=4, comment="  温度稳定  ", actor_id=ask.person, now=row.ends_at)
    made = rate(db, booking_id=row.id, stars=2, comment=None, actor_id=ask.person, now=row.ends_at + timedelta(days=3))
    assert (made.stars, made.comment, made.rated_at) == (2, None, row.ends_at)
    with pytest.raises(WrongState):
        rate(db, booking_id=row.id, stars=5, comment=None, actor_id=ask.person, now=row.ends_at + EDIT_WITHIN)
    assert audit(db) == []
    told = select(AuditEntry.before, AuditEntry.after).where(AuditEntry.action == "rate").order_by(AuditEntry.at)
    assert [tuple(one) for one in db.execute(told)] == [(None, {"stars": 4}), ({"stars": 4}, {"stars": 2})]


def test_only_what_was_fulfilled_outside_the_house_lately_is_rated(db: Session, ask: Asks) -> None:
    ahead, row = ask.alone(at("2027-03-17")), used(ask, "2027-03-15")
    for one, now in ((ahead, NOW), (row, row.ends_at + RATE_WITHIN)):
        with pytest.raises(WrongState):
            rate(db, booking_id=one.id, stars=3, comment=None, actor_id=ask.person, now=now)
    row.organisation_id = None
    db.flush()
    with pytest.raises(WrongState):
        rate(db, booking_id=row.id, stars=3, comment=None, actor_id=ask.person, now=row.ends_at)
    for stars, comment in ((0, None), (6, None), (3, "x" * 1001), (3, "a\u202eb")):
        with pytest.raises(Invalid):
            rate(db, booking_id=row.id, stars=stars, comment=comment, actor_id=ask.person, now=row.ends_at)


def test_a_listing_shows_its_average_to_one_place(db: Session, ask: Asks) -> None:
    assert standings(db, [ask.resource.id]) == {}
    for day, stars in (("2027-03-15", 5), ("2027-03-16", 4), ("2027-03-17", 4), ("2027-03-18", 4)):
        row = used(ask, day)
        rate(db, booking_id=row.id, stars=stars, comment=None, actor_id=ask.person, now=row.ends_at)
    found = standings(db, [ask.resource.id])[ask.resource.id]
    assert (found.average, found.count) == (Decimal("4.3"), 4)
    assert [one.stars for one in ratings_of(db, ask.resource.id, limit=2)] == [4, 4]


def test_every_request_that_came_to_nothing_is_kept_with_its_reason(db: Session, ask: Asks) -> None:
    note_refusal(db, wish=ask.wish(at("2027-03-15")), reasons=[Reason("slot_taken")], now=NOW)
    set_rules(db, resource_id=ask.resource.id, rules=RuleSet(approval=Approval.REQUEST), actor_id=None, now=NOW)
    declined, withdrawn, unanswered, waiting = (ask.alone(at(f"2027-03-{day}")) for day in (16, 17, 18, 19))
    said = {"actor_id": ask.person, "now": NOW}
    requests.refuse(db, booking_id=declined.id, grounds=Grounds.OUT_OF_SCOPE, reason=" 不做\n放射性样品 ", **said)
    requests.cancel(db, booking_id=withdrawn.id, by=CancelledBy.CUSTOMER, reason="已在别处完成", **said)
    actions.expire(db, booking_id=unanswered.id, now=NOW)
    found = {one.id: one for one in lost_requests_of(db, ask.resource.id, limit=10)}
    assert {key: (one.outcome, tuple(one.codes), one.reason) for key, one in found.items() if key.startswith("bk_")} == {
        declined.id: ("declined", ("out_of_scope",), "不做 放射性样品"),
        withdrawn.id: ("withdrawn", ("withdrawn",), "已在别处完成"),
        unanswered.id: ("unanswered", (), None),
    }
    (turned_away,) = (one for key, one in found.items() if key.startswith("ref_"))
    assert (turned_away.outcome, turned_away.codes, turned_away.slot) == ("turned_away", ["slot_taken"], at("2027-03-15"))
    assert waiting.id not in found
    assert [one.id for one in lost_requests_in(db, ask.resource.institution_id, limit=2, offset=1)] == [*found][1:3]


def test_a_request_by_card_is_lost_like_any_other_and_a_hold_that_was_never_paid_is_none(db: Session, ask: Asks) -> None:
    set_rules(db, resource_id=ask.resource.id, rules=RuleSet(approval=Approval.REQUEST), actor_id=None, now=NOW)
    until = NOW + timedelta(minutes=15)
    unpaid, unanswered, withdrawn = (
        actions.book(db, wish=ask.wish(at(f"2027-03-{day}")), hold_until=until, now=NOW) for day in (16, 17, 18)
    )
    for row in (unanswered, withdrawn):
        assert actions.confirm_hold(db, booking_id=row.id, now=NOW).hold_until is None
    actions.expire(db, booking_id=unpaid.id, now=until)
    actions.expire(db, booking_id=unanswered.id, now=until)
    requests.cancel(db, booking_id=withdrawn.id, by=CancelledBy.CUSTOMER, reason="x", actor_id=ask.person, now=NOW)
    found = {one.id: (one.outcome, one.reason) for one in lost_requests_of(db, ask.resource.id, limit=5)}
    assert found == {unanswered.id: ("unanswered", None), withdrawn.id: ("withdrawn", "x")}


def test_a_booking_that_stood_keeps_no_reason_of_a_request(db: Session, ask: Asks) -> None:
    row = ask.alone(at("2027-03-16"))
    requests.cancel(db, booking_id=row.id, by=CancelledBy.CUSTOMER, reason="x", actor_id=ask.person, now=NOW)
    assert end_of(db, row.id) is None
    assert lost_requests_of(db, ask.resource.id, limit=5) == []


def test_a_reason_that_cannot_be_kept_leaves_the_request_open(db: Session, ask: Asks) -> None:
    set_rules(db, resource_id=ask.resource.id, rules=RuleSet(approval=Approval.REQUEST), actor_id=None, now=NOW)
    row = ask.alone(at("2027-03-16"))
    for reason in ("x" * 1001, "a\u0000b"):
        with pytest.raises(Invalid):
            requests.refuse(db, booking_id=row.id, grounds=Grounds.DECLINED_CAPACITY, reason=reason, actor_id=ask.person, now=NOW)
    assert row.state is BookingState.REQUESTED


def test_the_audit_finds_a_rating_of_what_was_not_fulfilled(db: Session, ask: Asks) -> None:
    row = ask.alone(at("2027-03-16"))
    db.add(Rating(booking_id=row.id, resource_id=row.resource_id, stars=5, rated_by=ask.person, rated_at=NOW))
    db.flush()
    assert audit(db) == [f"booking {row.id} is rated and was not fulfilled"]
