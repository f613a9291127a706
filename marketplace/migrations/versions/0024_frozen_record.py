"""The record is frozen by the database, as the accounts are; one index less; the sender's holds what is unsent on SQLite too.

What is not concluded yet is found by its start.

Revision ID: 0024
Revises: 0023
"""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

FREEZE = """CREATE TRIGGER audit_entries_never_{verb} BEFORE {event} ON audit_entries
BEGIN
  SELECT RAISE(ABORT, 'rows of audit_entries never change');
END"""
POSTGRES_FUNCTION = """CREATE OR REPLACE FUNCTION audit_entries_never_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'rows of audit_entries never change' USING ERRCODE = 'integrity_constraint_violation';
END $$"""
POSTGRES_FREEZE = """CREATE TRIGGER {table}_never_change BEFORE UPDATE OR DELETE{more} ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION {table}_never_change()"""
FROZEN = ("policy_versions", "booking_quotes", "journal_entries", "journal_legs", "bank_receipts")
"""By migration 0004, against all but TRUNCATE."""


def upgrade() -> None:
    op.drop_index("ix_bookings_open", "bookings")
    if op.get_bind().dialect.name != "sqlite":
        op.execute(POSTGRES_FUNCTION)
        op.execute(POSTGRES_FREEZE.format(table="audit_entries", more=" OR TRUNCATE"))
        _freeze_again(" OR TRUNCATE")
        return
    for verb in ("update", "delete"):
        op.execute(FREEZE.format(verb=verb, event=verb.upper()))
    op.drop_index("ix_messages_due", "messages")
    op.create_index("ix_messages_due", "messages", ["run_at"], sqlite_where=sa.text("sent_at IS NULL"))


def downgrade() -> None:
    op.create_index("ix_bookings_open", "bookings", ["state", "ends_at"])
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP TRIGGER audit_entries_never_change ON audit_entries")
        op.execute("DROP FUNCTION audit_entries_never_change")
        _freeze_again("")
        return
    for verb in ("update", "delete"):
        op.execute(f"DROP TRIGGER audit_entries_never_{verb}")
    op.drop_index("ix_messages_due", "messages")
    op.create_index("ix_messages_due", "messages", ["run_at"])


def _freeze_again(more: str) -> None:
    for table in FROZEN:
        op.execute(f"DROP TRIGGER {table}_never_change ON {table}")
        op.execute(POSTGRES_FREEZE.format(table=table, more=more))
