"""Entries of the journal say how many legs they have, and the database that they sum to zero; states only move forward.

Revision ID: 0050
Revises: 0046
"""

import sqlalchemy as sa
from alembic import op

revision = "0050"
down_revision = "0046"
branch_labels = None
depends_on = None

MOVES = {
    "statements": {"open": ("disputed", "accepted", "superseded"), "disputed": ("accepted", "superseded"), "accepted": ("settled",)},
    "payments": {"wanted": ("authorised", "captured", "released", "failed"), "authorised": ("captured", "released", "failed")},
    "provider_calls": {"waiting": ("done", "failed", "mismatch"), "done": ("mismatch",), "failed": ("mismatch",)},
}
FORWARD_SQLITE = """CREATE TRIGGER {table}_forward_only BEFORE UPDATE OF state ON {table} WHEN NOT ({allowed})
BEGIN
  SELECT RAISE(ABORT, 'states of {table} only move forward');
END"""
FORWARD_FUNCTION = """CREATE FUNCTION {table}_forward_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'states of {table} only move forward' USING ERRCODE = 'integrity_constraint_violation';
END $$"""
FORWARD_POSTGRES = """CREATE TRIGGER {table}_forward_only BEFORE UPDATE OF state ON {table}
FOR EACH ROW WHEN (NOT ({allowed})) EXECUTE FUNCTION {table}_forward_only()"""
BALANCED_SQLITE = """CREATE TRIGGER journal_legs_balanced AFTER INSERT ON journal_legs
BEGIN
  SELECT RAISE(ABORT, 'journal entries sum to zero') FROM (
    SELECT count(*) AS legs, sum(amount_minor) AS amount FROM journal_legs WHERE entry_id = NEW.entry_id
  ) AS found JOIN journal_entries AS entry ON entry.id = NEW.entry_id
  WHERE found.legs > entry.legs OR (found.legs = entry.legs AND found.amount <> 0);
END"""
BALANCED_FUNCTION = """CREATE FUNCTION {table}_balanced() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (
    SELECT 1 FROM journal_entries AS entry LEFT JOIN journal_legs AS leg ON leg.entry_id = entry.id
    WHERE entry.id = NEW.{column} GROUP BY entry.id
    HAVING count(leg.account) <> entry.legs OR coalesce(sum(leg.amount_minor), 1) <> 0
  ) THEN
    RAISE EXCEPTION 'journal entries sum to zero' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NULL;
END $$"""
BALANCED_POSTGRES = """CREATE CONSTRAINT TRIGGER {table}_balanced AFTER INSERT ON {table}
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {table}_balanced()"""
LEGS = sa.Column("legs", sa.BigInteger(), server_default="2", nullable=False)
COUNTED = "UPDATE journal_entries SET legs = (SELECT count(*) FROM journal_legs WHERE entry_id = journal_entries.id)"
NAMED = (("journal_entries", "id"), ("journal_legs", "entry_id"))
FROZEN = """CREATE TRIGGER journal_entries_never_update BEFORE UPDATE ON journal_entries
BEGIN
  SELECT RAISE(ABORT, 'rows of journal_entries never change');
END"""


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER journal_entries_never_update")
        op.add_column("journal_entries", LEGS)
        op.execute(COUNTED)
        op.execute(FROZEN)
        op.execute(BALANCED_SQLITE)
    else:
        op.execute("ALTER TABLE journal_entries DISABLE TRIGGER journal_entries_never_change")
        op.add_column("journal_entries", LEGS)
        op.execute(COUNTED)
        op.execute("ALTER TABLE journal_entries ENABLE TRIGGER journal_entries_never_change")
        for table, column in NAMED:
            op.execute(BALANCED_FUNCTION.format(table=table, column=column))
            op.execute(BALANCED_POSTGRES.format(table=table))
    for table, moves in MOVES.items():
        _keep_forward(table, _allowed(moves))


def downgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    for table in reversed(MOVES):
        op.execute(f"DROP TRIGGER {table}_forward_only" + ("" if sqlite else f" ON {table}"))
        if not sqlite:
            op.execute(f"DROP FUNCTION {table}_forward_only")
    if sqlite:
        op.execute("DROP TRIGGER journal_legs_balanced")
        op.execute("ALTER TABLE journal_entries DROP COLUMN legs")
        return
    for table, _ in reversed(NAMED):
        op.execute(f"DROP TRIGGER {table}_balanced ON {table}")
        op.execute(f"DROP FUNCTION {table}_balanced")
    op.drop_column("journal_entries", "legs")


def _allowed(moves: dict[str, tuple[str, ...]]) -> str:
    steps = [f"(OLD.state = '{one}' AND NEW.state IN ({', '.join(repr(to) for to in later)}))" for one, later in moves.items()]
    return " OR ".join(["OLD.state = NEW.state", *steps])


def _keep_forward(table: str, allowed: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute(FORWARD_SQLITE.format(table=table, allowed=allowed))
        return
    op.execute(FORWARD_FUNCTION.format(table=table))
    op.execute(FORWARD_POSTGRES.format(table=table, allowed=allowed))
