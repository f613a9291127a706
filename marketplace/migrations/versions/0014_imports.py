"""Keys under which rows of files were taken in.

Revision ID: 0014
Revises: 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "imported_rows",
        sa.Column("kind", sa.String(length=80), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("digest", sa.String(length=80), nullable=False),
        sa.Column("object_id", sa.String(length=40), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("length(kind) <= 80", name=op.f("ck_imported_rows_kind_length")),
        sa.CheckConstraint("length(key) <= 200", name=op.f("ck_imported_rows_key_length")),
        sa.CheckConstraint("length(digest) <= 80", name=op.f("ck_imported_rows_digest_length")),
        sa.PrimaryKeyConstraint("kind", "key", name=op.f("pk_imported_rows")),
    )
    op.create_index("ix_imported_rows_object", "imported_rows", ["kind", "object_id"])
