"""The provider's movements, what differs from the ledger, closed days, and runs of every check.

Revision ID: 0056
Revises: 0055
"""

from collections.abc import Collection

import sqlalchemy as sa
from alembic import op

revision = "0056"
down_revision = "0055"
branch_labels = None
depends_on = None

ANSWERED = ("not_set_up", "answered", "away")
KINDS = ("unknown_movement", "not_posted", "not_there", "differs", "object_unknown", "object_missing")
FROZEN = ("provider_movements", "day_closes")
NEVER = """
CREATE TRIGGER {table}_never_{verb} BEFORE {event} ON {table}
BEGIN
  SELECT RAISE(ABORT, 'rows of {table} never change');
END
"""
NEVER_CHANGE = """
CREATE OR REPLACE FUNCTION {table}_never_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'rows of {table} never change' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER {table}_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION {table}_never_change()
"""


def upgrade() -> None:
    _make_runs()
    _make_closes()
    _make_findings()
    _make_movements()
    op.create_index("ix_journal_entries_created", "journal_entries", ["created_at"])
    for table in FROZEN:
        if _sqlite():
            for verb in ("update", "delete"):
                op.execute(NEVER.format(table=table, verb=verb, event=verb.upper()))
        else:
            op.execute(NEVER_CHANGE.format(table=table))


def downgrade() -> None:
    op.drop_index("ix_journal_entries_created", "journal_entries")
    for table in ("provider_movements", "findings", "day_closes", "check_runs"):
        op.drop_table(table)
    if not _sqlite():
        for table in FROZEN:
            op.execute(f"DROP FUNCTION {table}_never_change")


def _make_runs() -> None:
    op.create_table(
        "check_runs",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("cause", sa.String(200), nullable=False),
        sa.Column("asked_by", sa.String(40)),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True)),
        sa.Column("done_at", sa.DateTime(timezone=True)),
        sa.Column("provider", _choice("answered", ANSWERED)),
        sa.Column("results", sa.JSON()),
        sa.PrimaryKeyConstraint("id", name="pk_check_runs"),
        sa.UniqueConstraint("cause", name="uq_check_runs_cause"),
        sa.CheckConstraint(_among("provider", ANSWERED), name=op.f("ck_check_runs_answered")),
        *_lengths("check_runs", cause=200),
    )
    op.create_index("ix_check_runs_done", "check_runs", ["done_at"])


def _make_closes() -> None:
    op.create_table(
        "day_closes",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("zone", sa.String(80), nullable=False),
        sa.Column("entries", sa.BigInteger(), nullable=False),
        sa.Column("totals", sa.JSON(), nullable=False),
        sa.Column("entries_digest", sa.String(80), nullable=False),
        sa.Column("previous", sa.String(80), nullable=False),
        sa.Column("digest", sa.String(80), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("day", name="pk_day_closes"),
        *_lengths("day_closes", zone=80, entries_digest=80, previous=80, digest=80),
    )


def _make_findings() -> None:
    op.create_table(
        "findings",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("kind", _choice("findingkind", KINDS), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("booking_id", sa.String(40)),
        sa.Column("currency", sa.String(80), nullable=False),
        sa.Column("theirs_minor", sa.BigInteger(), nullable=False),
        sa.Column("ours_minor", sa.BigInteger(), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("gone_at", sa.DateTime(timezone=True)),
        sa.Column("resolved_at", sa.DateTime(timezone=True)),
        sa.Column("resolved_by", sa.String(40)),
        sa.Column("reason", sa.String(1000)),
        sa.PrimaryKeyConstraint("id", name="pk_findings"),
        sa.UniqueConstraint("kind", "subject", "currency", "theirs_minor", "ours_minor", name="uq_findings_once"),
        sa.CheckConstraint(_among("kind", KINDS), name=op.f("ck_findings_findingkind")),
        *_lengths("findings", subject=200, currency=80, reason=1000),
    )


def _make_movements() -> None:
    op.create_table(
        "provider_movements",
        sa.Column("id", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(80), nullable=False),
        sa.Column("source_id", sa.String(200)),
        sa.Column("about", sa.String(200)),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("fee_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(80), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_provider_movements"),
        *_lengths("provider_movements", id=200, kind=80, source_id=200, about=200, currency=80),
    )
    op.create_index("ix_provider_movements_created", "provider_movements", ["created_at"])


def _sqlite() -> bool:
    return bool(op.get_bind().dialect.name == "sqlite")


def _choice(name: str, values: Collection[str]) -> sa.Enum:
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=False, length=40)


def _among(column: str, values: Collection[str]) -> str:
    """As each database writes it down."""
    listed = ", ".join(f"'{one}'" for one in values)
    return f"{column} IN ({listed})" if _sqlite() else f"{column} = ANY ('{{{','.join(values)}}}')"


def _lengths(table: str, **longest: int) -> list[sa.CheckConstraint]:
    """SQLite keeps none by itself."""
    if not _sqlite():
        return []
    return [
        sa.CheckConstraint(f"length({column}) <= {length}", name=op.f(f"ck_{table}_{column}_length"))
        for column, length in longest.items()
    ]
