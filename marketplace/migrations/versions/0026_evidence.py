"""Evidence: each device's day under one root, each day under one signed seal; rows never change.

Revision ID: 0026
Revises: 0025
"""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

TABLES = ("evidence_days", "evidence_seals")
FREEZE = """CREATE TRIGGER {table}_never_{verb} BEFORE {event} ON {table}
BEGIN
  SELECT RAISE(ABORT, 'rows of {table} never change');
END"""
POSTGRES_FUNCTION = """CREATE OR REPLACE FUNCTION {table}_never_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'rows of {table} never change' USING ERRCODE = 'integrity_constraint_violation';
END $$"""
POSTGRES_FREEZE = """CREATE TRIGGER {table}_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION {table}_never_change()"""


def upgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    op.create_table(
        "evidence_seals",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("previous", sa.String(80), nullable=False),
        sa.Column("records", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.String(80), nullable=False),
        sa.Column("key", sa.String(80), nullable=False),
        sa.Column("signature", sa.String(1000), nullable=False),
        sa.Column("sealed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_evidence_seals"),
        sa.UniqueConstraint("day", name="uq_evidence_seals_day"),
        *_lengths("evidence_seals", sqlite, previous=80, root=80, key=80, signature=1000),
    )
    op.create_table(
        "evidence_days",
        sa.Column("device_id", sa.String(40), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seal", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.String(80), nullable=False),
        sa.Column("thresholds", sa.String(80), nullable=False),
        sa.Column("leaves", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("device_id", "day", "number", name="pk_evidence_days"),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name="fk_evidence_days_device_id"),
        *_lengths("evidence_days", sqlite, root=80, thresholds=80),
    )
    op.create_index("ix_evidence_days_seal", "evidence_days", ["seal"])
    for table in TABLES:
        _freeze(table, sqlite=sqlite)


def _lengths(table: str, sqlite: bool, **columns: int) -> list[sa.CheckConstraint]:
    """PostgreSQL keeps them by itself."""
    if not sqlite:
        return []
    return [sa.CheckConstraint(f"length({name}) <= {most}", name=op.f(f"ck_{table}_{name}_length")) for name, most in columns.items()]


def _freeze(table: str, *, sqlite: bool) -> None:
    if sqlite:
        for verb in ("update", "delete"):
            op.execute(FREEZE.format(table=table, verb=verb, event=verb.upper()))
    else:
        op.execute(POSTGRES_FUNCTION.format(table=table))
        op.execute(POSTGRES_FREEZE.format(table=table))


def downgrade() -> None:
    postgres = op.get_bind().dialect.name != "sqlite"
    for table in TABLES:
        op.drop_table(table)
        if postgres:
            op.execute(f"DROP FUNCTION {table}_never_change")
