"""Pages on which payers pay, refunds by themselves, and what the journal and the outbox call their steps.

Revision ID: 0051
Revises: 0057
"""

import re

import sqlalchemy as sa
from alembic import op

revision = "0051"
down_revision = "0057"
branch_labels = None
depends_on = None

WIDENED = (
    ("provider_calls", "operation", ("keep", "page", "read", "close")),
    ("journal_entries", "kind", ("refund_failed", "refund_repeated")),
)
LISTED = re.compile(r"\bIN \(([^)]*)\)")


def upgrade() -> None:
    op.add_column("payments", sa.Column("returned_minor", sa.BigInteger(), server_default="0", nullable=False))
    op.create_table(
        "payment_pages",
        sa.Column("payment_id", sa.String(40), nullable=False),
        sa.Column("purpose", sa.String(40), nullable=False),
        sa.Column("object_id", sa.String(200)),
        sa.Column("url", sa.Text()),
        sa.Column("ends_at", sa.DateTime(timezone=True)),
        sa.Column("kept_at", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        *_texts("purpose", "purpose", ("prepay", "hold", "keep_card"), object_id=200),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name=op.f("fk_payment_pages_payment_id")),
        sa.PrimaryKeyConstraint("payment_id", name=op.f("pk_payment_pages")),
        sa.UniqueConstraint("object_id", name=op.f("uq_payment_pages_object_id")),
    )
    op.create_index("ix_payment_pages_ends_at", "payment_pages", ["ends_at"])
    op.create_table(
        "refunds",
        sa.Column("id", sa.String(200), nullable=False),
        sa.Column("payment_id", sa.String(40), nullable=False),
        sa.Column("call_key", sa.String(200)),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(40), nullable=False),
        sa.Column("failure", sa.String(1000)),
        sa.Column("arrived_at", sa.DateTime(timezone=True)),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        *_texts("state", "refundstate", ("pending", "succeeded", "failed", "cancelled"), id=200, call_key=200, failure=1000),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_refunds_amount_positive")),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name=op.f("fk_refunds_payment_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refunds")),
    )
    op.create_index("ix_refunds_payment", "refunds", ["payment_id"])
    for table, column, further in WIDENED:
        _allow(table, column, lambda known, further=further: [*known, *(one for one in further if one not in known)])


def downgrade() -> None:
    for table, column, further in WIDENED:
        _allow(table, column, lambda known, further=further: [one for one in known if one not in further])
    op.drop_table("refunds")
    op.drop_table("payment_pages")
    op.drop_column("payments", "returned_minor")


def _texts(column, name, values, **lengths):
    """The checks of what a text may be, as the tables' own definition makes them on either database."""
    if op.get_bind().dialect.name != "sqlite":
        return [sa.CheckConstraint(f"{column} = ANY ('{{{','.join(values)}}}')", name=name)]
    listed = ", ".join(f"'{one}'" for one in values)
    checks = [sa.CheckConstraint(f"{column} IN ({listed})", name=name)]
    return checks + [sa.CheckConstraint(f"length({text}) <= {most}", name=f"{text}_length") for text, most in lengths.items()]


def _allow(table, column, change) -> None:
    """Change which values a column may have; what of the table is on the disk stays as it is."""
    connection, name = op.get_bind(), f"ck_{table}_{'operation' if column == 'operation' else 'entrykind'}"
    if connection.dialect.name != "sqlite":
        asked = sa.text("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = :name")
        stored = connection.execute(asked, {"name": name}).scalar_one()
        known = re.search(r"'\{([^}]*)\}'", stored)[1].split(",")
        packed = ",".join(change(known))
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}, ADD CONSTRAINT {name} CHECK ({column} = ANY ('{{{packed}}}'))")
        return
    asked = sa.text("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = :table")
    stored = connection.execute(asked, {"table": table}).scalar_one()
    start = stored.index(f"{column} IN (")
    found = LISTED.search(stored, start)
    known = re.findall(r"'([^']*)'", found[1])
    listed = ", ".join(f"'{one}'" for one in change(known))
    made = f"{stored[: found.start()]}IN ({listed}){stored[found.end() :]}"
    version = connection.execute(sa.text("PRAGMA schema_version")).scalar_one()
    connection.execute(sa.text("PRAGMA writable_schema = ON"))
    connection.execute(
        sa.text("UPDATE sqlite_master SET sql = :sql WHERE type = 'table' AND name = :table"), {"sql": made, "table": table}
    )
    connection.execute(sa.text(f"PRAGMA schema_version = {version + 1}"))
    connection.execute(sa.text("PRAGMA writable_schema = OFF"))
