"""Bookings that were granted together."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("bookings", sa.Column("bundle_id", sa.String(length=40), nullable=True))
    op.create_index("ix_bookings_bundle", "bookings", ["bundle_id"])
