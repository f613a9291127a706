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
POSTGRES_FREEZE = """
CREATE OR REPLACE FUNCTION audit_entries_never_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'rows of audit_entries never change' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER audit_entries_never_change BEFORE UPDATE OR DELETE ON audit_entries
FOR EACH STATEMENT EXECUTE FUNCTION audit_entries_never_change()
"""


def upgrade() -> None:
    op.drop_index("ix_bookings_open", "bookings")
    if op.get_bind().dialect.name != "sqlite":
        op.execute(POSTGRES_FREEZE)
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
        return
    for verb in ("update", "delete"):
        op.execute(f"DROP TRIGGER audit_entries_never_{verb}")
    op.drop_index("ix_messages_due", "messages")
    op.create_index("ix_messages_due", "messages", ["run_at"])
