"""The ledger against the provider's own books, findings for a person, and days that are closed for good."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from billing import invariants, ledger
from billing.journal.actions import post
from billing.providers.base import NoAnswer
from billing.providers.stand_in import giving, paying
from billing.reconciling import actions, queries
from billing.reconciling.matching import Booked, FindingKind, Found, Moved, by_currency, differences
from billing.reconciling.tables import Answered, DayClose, Finding, ProviderMovement
from booking.tables import Booking
from marketplace import audit
from marketplace.ids import new_id
from marketplace.money import Money
from marketplace.refusals import Invalid, WrongState
from tests.billing.conftest import Stripe, work
from tests.billing.test_card_flow import AFTER, held_then_used
from tests.billing.test_card_races import GUARD, prepaid

LATER = AFTER + timedelta(hours=2)
MIDNIGHT = datetime(2026, 3, 10, 16, tzinfo=UTC)
"""In Beijing, the one after `AFTER`."""


def reconcile(sessions: sessionmaker[Session], stripe: Stripe, now: datetime = LATER) -> Sequence[Found]:
    """As a worker does it."""
    with sessions() as session:
        since = queries.read_from(session)
    answered, books = actions.ask_provider(stripe.provider, since=since, now=now)
    assert answered is Answered.ANSWERED
    with sessions.begin() as session:
        actions.store(session, books, now=now)
        found = actions.compare(session, books, now=now)
        actions.note(session, found, now=now)
    return found


def kinds(found: Sequence[Found]) -> list[FindingKind]:
    return [one.kind for one in found]


def paid(sessions: sessionmaker[Session], stripe: Stripe) -> str:
    booking_id = held_then_used(sessions, stripe)
    work(sessions, stripe, AFTER)
    return booking_id


def test_every_movement_is_stored_once_and_has_its_entry(committed_db: sessionmaker[Session], stripe: Stripe) -> None:
    paid(committed_db, stripe)
    assert reconcile(committed_db, stripe) == reconcile(committed_db, stripe, LATER + timedelta(days=1)) == []
    with committed_db() as session:
        rows = session.scalars(select(ProviderMovement).order_by(ProviderMovement.id)).all()
        assert [(row.kind, row.amount_minor, row.fee_minor) for row in rows] == [("charge", 52500, 1985), ("transfer", -48300, 0)]


def test_a_refund_that_was_made_there_by_hand_is_found(committed_db: sessionmaker[Session], stripe: Stripe) -> None:
    booking_id = prepaid(committed_db, stripe, captured=True)
    intent = stripe.state.shop.all("payment_intent")[0]["id"]
    giving.refund(stripe.state.shop, {"payment_intent": intent, "amount": 1000})  # by hand, at the provider
    [found] = reconcile(committed_db, stripe, GUARD + timedelta(hours=2))
    assert (found.kind, found.booking_id, found.theirs_minor, found.ours_minor) == (FindingKind.NOT_POSTED, booking_id, -1000, 0)
    with committed_db() as session:
        assert queries.difference(session) == [Money(-1000, "CNY")]
        assert [one for one in invariants.violations(session) if "provider" in one] == [
            f"{invariants.DIFFERING}: not_posted {found.subject}: -1000 against 0 CNY"
        ]


def test_what_is_under_way_is_no_difference_yet(committed_db: sessionmaker[Session], stripe: Stripe) -> None:
    held_then_used(committed_db, stripe)
    work(committed_db, stripe, AFTER, most=1)  # the transfer still waits
    assert reconcile(committed_db, stripe) == []


def test_what_the_ledger_has_no_entry_for_waits_for_a_person(committed_db: sessionmaker[Session], stripe: Stripe) -> None:
    paid(committed_db, stripe)
    stripe.state.shop.book("payout", {"id": "po_1", "currency": "cny"}, -1000, 0)
    stripe.state.shop.book("some_new_type", {"id": "xx_1", "currency": "cny"}, 30, 10)
    found = reconcile(committed_db, stripe)
    assert kinds(found) == [FindingKind.UNKNOWN_MOVEMENT] * 2
    assert by_currency(found) == {"CNY": -980}
    with committed_db.begin() as session:
        payout = next(row for row in queries.open_findings(session) if row.theirs_minor == -1000)
        with pytest.raises(Invalid):
            actions.resolve(session, finding_id=payout.id, reason=" ", actor_id="per_1", now=LATER)
        actions.resolve(session, finding_id=payout.id, reason="paid out to our own bank", actor_id="per_1", now=LATER)
        with pytest.raises(WrongState):
            actions.resolve(session, finding_id=payout.id, reason="again", actor_id="per_1", now=LATER)
        [entry] = audit.history_of(session, "finding", payout.id)
        assert (entry.actor_id, entry.after) == ("per_1", {"subject": payout.subject, "reason": "paid out to our own bank"})
    reconcile(committed_db, stripe, LATER + timedelta(days=1))
    with committed_db() as session:
        assert [row.theirs_minor for row in queries.open_findings(session)] == [20]
        assert queries.difference(session) == [Money(20, "CNY")]


def test_a_difference_that_is_gone_ends_by_itself(committed_db: sessionmaker[Session], stripe: Stripe) -> None:
    booking_id = paid(committed_db, stripe)
    extra = ledger.transfer_out(Money(500, "CNY"))
    with committed_db.begin() as session:
        booking = session.get_one(Booking, booking_id)
        post(session, extra, source_type="bank_receipt", source_id="odd", booking=booking, now=AFTER)
    [found] = reconcile(committed_db, stripe)
    assert (found.kind, found.ours_minor, found.booking_id) == (FindingKind.NOT_THERE, -500, booking_id)
    with committed_db.begin() as session:
        actions.note(session, [], now=LATER)
        assert queries.open_findings(session) == []
        actions.note(session, [found], now=LATER)
        assert len(queries.open_findings(session)) == 1
        assert len(session.scalars(select(Finding)).all()) == 1


def test_payments_that_only_one_side_has_are_found(committed_db: sessionmaker[Session], stripe: Stripe) -> None:
    paid(committed_db, stripe)
    shop = stripe.state.shop
    order = {"amount": 9000, "currency": "cny", "payment_method": "pm_card_visa", "capture_method": "manual", "confirm": True}
    paying.create(shop, {**order, "metadata": {"key": "bkg_lost:hold:1"}})
    paying.create(shop, order)  # not ours, and nothing moved
    assert kinds(reconcile(committed_db, stripe)) == [FindingKind.OBJECT_UNKNOWN]
    ours = shop.all("payment_intent")[0]
    del shop.kinds["payment_intent"][ours["id"]]
    assert FindingKind.OBJECT_MISSING in kinds(reconcile(committed_db, stripe))


def test_of_a_provider_that_is_away_or_not_set_up_nothing_is_said() -> None:
    class Away:
        def movements_since(self, moment: datetime) -> None:
            raise NoAnswer("down")

    away, _ = actions.ask_provider(Away(), since=AFTER, now=AFTER)  # type: ignore[arg-type]
    assert (away, actions.ask_provider(None, since=AFTER, now=AFTER)[0]) == (Answered.AWAY, Answered.NOT_SET_UP)


@pytest.mark.parametrize(
    ("net", "amount", "kind"),
    [
        (52500, 52500, None),
        (52500, 0, FindingKind.NOT_POSTED),
        (0, 52500, FindingKind.NOT_THERE),
        (52500, 52499, FindingKind.DIFFERS),
    ],
)
def test_a_payment_s_movements_are_held_against_its_entries(net: int, amount: int, kind: FindingKind | None) -> None:
    moved = [Moved("txn_1", "charge", "pay_1", "CNY", net)] if net else []
    booked = [Booked("pay_1", "bkg_1", "taken", "CNY", amount)] if amount else []
    assert kinds(differences(moved, booked)) == ([kind] if kind else [])
    assert differences(moved, booked, {"pay_1"}) == []


def test_a_day_is_closed_once_with_totals_and_chained_to_the_one_before(
    committed_db: sessionmaker[Session], stripe: Stripe
) -> None:
    paid(committed_db, stripe)
    with committed_db.begin() as session:
        assert actions.close_days(session, now=MIDNIGHT + timedelta(minutes=59)) == []
        assert actions.close_days(session, now=MIDNIGHT + timedelta(hours=1)) == [date(2026, 3, 10)]
        assert actions.close_days(session, now=MIDNIGHT + timedelta(hours=2)) == []
        assert actions.close_days(session, now=MIDNIGHT + timedelta(days=2, hours=1)) == [date(2026, 3, 11), date(2026, 3, 12)]
        last, between, first = queries.closes(session)
        assert (first.entries, between.entries, first.previous, between.previous) == (4, 0, "", first.digest)
        totals = {one["account"]: (one["day_minor"], one["balance_minor"]) for one in first.totals}
        assert totals == {"AR": (0, 0), "FEE": (-4200, -4200), "IP": (0, 0), "PFE": (1985, 1985), "PSP": (2215, 2215)}
        assert {one["account"]: (one["day_minor"], one["balance_minor"]) for one in last.totals}["PSP"] == (0, 2215)
        assert invariants.violations(session) == []


def test_what_is_posted_into_a_closed_day_is_found(committed_db: sessionmaker[Session], stripe: Stripe) -> None:
    booking_id = paid(committed_db, stripe)
    with committed_db.begin() as session:
        actions.close_days(session, now=MIDNIGHT + timedelta(days=1, hours=1))
        booking = session.get_one(Booking, booking_id)
        late = ledger.bank_payout(Money(1, "CNY"))
        post(session, late, source_type="bank_receipt", source_id=new_id("rec"), booking=booking, now=AFTER)
        assert invariants.checked(session)["a_closed_day_stays_as_it_was"] == ["2026-03-10"]


def test_closed_days_and_movements_never_change(committed_db: sessionmaker[Session], stripe: Stripe) -> None:
    paid(committed_db, stripe)
    reconcile(committed_db, stripe)
    with committed_db.begin() as session:
        actions.close_days(session, now=MIDNIGHT + timedelta(hours=1))
    for kind in (DayClose, ProviderMovement):
        with pytest.raises(DBAPIError, match="never change"), committed_db.begin() as session:
            session.delete(session.scalars(select(kind)).first())
