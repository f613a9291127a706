"""A journal that somebody changed behind the triggers' back is found out, also where every entry still sums to zero."""

from collections.abc import Sequence

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from billing import actions, invariants, queries
from billing.tables import Statement
from tests.billing.test_card_flow import AFTER, a_use
from tests.billing.test_direct_flow import a_quoted_booking, a_receipt, drafted


def unfreeze(db: Session) -> None:
    """As somebody with the database's own password could."""
    for table in ("journal_entries", "journal_legs"):
        if db.get_bind().dialect.name == "sqlite":
            for verb in ("update", "delete"):
                db.execute(text(f"DROP TRIGGER {table}_never_{verb}"))
        else:
            db.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
            db.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))


def a_paid_statement(db: Session) -> Statement:
    booking = a_quoted_booking(db)
    a_use(db, booking)
    statement = drafted(db, booking)
    actions.accept_statement(db, statement_id=statement.id, actor_id="per_1", now=AFTER)
    actions.mark_received(db, statement_id=statement.id, receipt=a_receipt(20000), actor_id="per_2", now=AFTER)
    return statement


ENTRY = "(SELECT id FROM journal_entries WHERE kind = '{kind}')"
CHARGE, PAID = ENTRY.format(kind="direct_charge"), ENTRY.format(kind="direct_paid")


@pytest.mark.parametrize(
    "deeds",
    [
        [f"UPDATE journal_legs SET amount_minor = amount_minor + 1 WHERE account = 'AR' AND entry_id = {CHARGE}"],
        [f"UPDATE journal_legs SET amount_minor = amount_minor * 2 WHERE entry_id = {CHARGE}"],
        [
            f"UPDATE journal_legs SET amount_minor = amount_minor - 100 WHERE account = 'IFR' AND entry_id = {CHARGE}",
            f"UPDATE journal_legs SET amount_minor = amount_minor + 100 WHERE account = 'FEE' AND entry_id = {CHARGE}",
        ],
        [f"UPDATE journal_legs SET account = 'BANK' WHERE account = 'IP' AND entry_id = {PAID}"],
        [f"DELETE FROM journal_legs WHERE entry_id = {PAID}"],
        [f"DELETE FROM journal_legs WHERE entry_id = {PAID}", "DELETE FROM journal_entries WHERE kind = 'direct_paid'"],
        ["UPDATE journal_entries SET kind = 'bank_received' WHERE kind = 'direct_paid'"],
        ["UPDATE journal_entries SET source_id = 'rec_nobody' WHERE kind = 'direct_paid'"],
        ["UPDATE journal_entries SET currency = 'EUR' WHERE kind = 'direct_charge'"],
    ],
)
def test_a_changed_journal_is_found_out(db: Session, deeds: Sequence[str]) -> None:
    statement = a_paid_statement(db)
    assert invariants.violations(db) == []
    unfreeze(db)
    for deed in deeds:
        db.execute(text(deed))
    db.expire_all()
    assert invariants.violations(db) != []
    assert queries.get_statement(db, statement.id).charge_minor == 52500
