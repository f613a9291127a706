"""PostgreSQL reads a check from its stored form whenever rows are written: long ones become short, lengths it keeps by itself.

Half of what a booking's rows took there was this reading.

Revision ID: 0021
Revises: 0020
"""

import re

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

CHECKS = """SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE contype = 'c' AND connamespace = current_schema()::regnamespace ORDER BY 1, 2"""
LISTED = re.compile(r"CHECK \(\(\((\w+)\)::text = ANY \(\(ARRAY\[(.+)\]\)::text\[\]\)\)\)")
PACKED = re.compile(r"CHECK \(\(\((\w+)\)::text = ANY \('\{(.+)\}'::text\[\]\)\)\)")
OWNERS = ("booking_id", "outage_id", "external_id", "waiting_id")
COUNTED = " + ".join(f"CASE WHEN {name} IS NULL THEN 0 ELSE 1 END" for name in OWNERS)


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    for table, name, check in op.get_bind().execute(sa.text(CHECKS)).all():
        if found := LISTED.fullmatch(check):
            values = ",".join(re.findall(r"'([^']*)'", found[2]))
            _replace(table, name, f"{found[1]} = ANY ('{{{values}}}')")
        elif check.startswith("CHECK ((length(") and name.endswith("_length"):
            op.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    _replace("claims", "ck_claims_one_owner", f"num_nonnulls({', '.join(OWNERS)}) = 1")


def downgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    for table, name, check in op.get_bind().execute(sa.text(CHECKS)).all():
        if found := PACKED.fullmatch(check):
            listed = ", ".join(f"'{one}'" for one in found[2].split(","))
            _replace(table, name, f"{found[1]} IN ({listed})")
    columns = sa.text(
        "SELECT table_name, column_name, character_maximum_length FROM information_schema.columns"
        " WHERE table_schema = current_schema() AND character_maximum_length > 40 AND table_name <> 'alembic_version'"
    )
    for table, column, length in op.get_bind().execute(columns).all():
        op.execute(f"ALTER TABLE {table} ADD CONSTRAINT ck_{table}_{column}_length CHECK (length({column}) <= {length})")
    _replace("claims", "ck_claims_one_owner", f"({COUNTED}) = 1")


def _replace(table: str, name: str, condition: str) -> None:
    op.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}, ADD CONSTRAINT {name} CHECK ({condition})")
