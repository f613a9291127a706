"""What the database itself refuses of the accounts: entries that do not sum to zero, later legs, states that go back."""

from collections.abc import Sequence

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from billing import actions, invariants, queries
from billing.ledger import Account, EntryKind
from billing.tables import CallState, JournalEntry, JournalLeg, Payment, PaymentState, ProviderCall, Statement, StatementState
from booking.tables import Booking
from tests.billing.test_card_flow import AFTER, a_card_booking, a_use
from tests.billing.test_direct_flow import a_quoted_booking, drafted

Legs = Sequence[tuple[Account, int]]


def post(db: Session, legs: Legs, *, said: int = 2) -> None:
    booking = db.scalars(select(Booking)).first() or a_quoted_booking(db)
    row = {
        "id": "jrn_1",
        "kind": EntryKind.BANK_RECEIVED,
        "source_type": "bank_receipt",
        "source_id": "r1",
        "booking_id": booking.id,
        "currency": "CNY",
        "legs": said,
        "created_at": AFTER,
    }
    db.execute(insert(JournalEntry), [row])
    db.execute(insert(JournalLeg), [{"entry_id": "jrn_1", "account": one, "amount_minor": amount} for one, amount in legs])
    if db.get_bind().dialect.name == "postgresql":
        db.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))  # as the end of the transaction would


BALANCED: Legs = [(Account.BANK, 100), (Account.AR, -100)]


def test_an_entry_that_sums_to_zero_is_taken(db: Session) -> None:
    post(db, BALANCED)
    assert db.scalars(select(JournalLeg.amount_minor).order_by(JournalLeg.amount_minor)).all() == [-100, 100]


@pytest.mark.parametrize(
    ("legs", "said"),
    [
        ([(Account.BANK, 100), (Account.AR, -99)], 2),
        ([*BALANCED, (Account.FEE, 1), (Account.IP, -1)], 2),
        ([(Account.BANK, 100), (Account.AR, -90), (Account.FEE, -9)], 3),
        ([(Account.BANK, 1)], 1),
    ],
)
def test_one_that_does_not_or_has_other_legs_than_it_says_is_refused(db: Session, legs: Legs, said: int) -> None:
    with pytest.raises(DBAPIError):
        post(db, legs, said=said)


def test_nothing_is_added_to_an_entry_later(db: Session) -> None:
    post(db, BALANCED)
    more = [
        {"entry_id": "jrn_1", "account": account, "amount_minor": amount}
        for account, amount in ((Account.FEE, 7), (Account.IP, -7))
    ]
    with pytest.raises(DBAPIError, match="sum to zero"):
        db.execute(insert(JournalLeg), more)


def test_one_with_fewer_legs_than_it_says_is_refused_at_the_end_or_found_out(db: Session) -> None:
    if db.get_bind().dialect.name == "postgresql":
        with pytest.raises(DBAPIError, match="sum to zero"):
            post(db, BALANCED, said=3)
        return
    post(db, BALANCED, said=3)
    assert any(one.startswith("entries_sum_to_zero: jrn_1") for one in invariants.violations(db))


@pytest.mark.parametrize(
    ("row", "path"),
    [
        (Statement, [StatementState.SUPERSEDED, StatementState.OPEN]),
        (Statement, [StatementState.ACCEPTED, StatementState.DISPUTED]),
        (Statement, [StatementState.ACCEPTED, StatementState.SETTLED, StatementState.ACCEPTED]),
        (Payment, [PaymentState.AUTHORISED, PaymentState.WANTED]),
        (Payment, [PaymentState.CAPTURED, PaymentState.RELEASED]),
        (Payment, [PaymentState.FAILED, PaymentState.AUTHORISED]),
        (ProviderCall, [CallState.DONE, CallState.WAITING]),
        (ProviderCall, [CallState.MISMATCH, CallState.DONE]),
    ],
)
def test_no_state_goes_back(
    db: Session, row: type[Statement | Payment | ProviderCall], path: Sequence[StatementState | PaymentState | CallState]
) -> None:
    booking = a_card_booking(db)
    a_use(db, booking)
    drafted(db, booking)
    *forward, back = path
    for state in forward:
        db.execute(update(row).values(state=state))
    with pytest.raises(DBAPIError, match="only move forward"):
        db.execute(update(row).values(state=back))


def test_what_a_paid_statement_posts_says_its_legs(db: Session) -> None:
    booking = a_quoted_booking(db)
    a_use(db, booking)
    actions.accept_statement(db, statement_id=drafted(db, booking).id, actor_id="per_1", now=AFTER)
    assert db.scalars(select(JournalEntry.legs).where(JournalEntry.booking_id == booking.id)).all() == [4]
    assert queries.balance_of(db, Account.AR, booking_id=booking.id) == 52500
