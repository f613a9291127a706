"""What few rows have is indexed for those rows only: a booking writes five index pages less.

Revision ID: 0020
Revises: 0019
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

SPARSE = {"bookings": ("bundle", "series"), "claims": ("outage", "external", "waiting")}


def upgrade() -> None:
    for table, columns in SPARSE.items():
        for column in columns:
            given = sa.text(f"{column}_id IS NOT NULL")
            op.drop_index(f"ix_{table}_{column}", table)
            op.create_index(f"ix_{table}_{column}", table, [f"{column}_id"], postgresql_where=given, sqlite_where=given)


def downgrade() -> None:
    for table, columns in SPARSE.items():
        for column in columns:
            op.drop_index(f"ix_{table}_{column}", table)
            op.create_index(f"ix_{table}_{column}", table, [f"{column}_id"])
