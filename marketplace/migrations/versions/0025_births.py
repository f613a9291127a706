"""Sparkplug nodes are asked for their birth.

Revision ID: 0025
Revises: 0024
"""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

WANTED = sa.text("birth_wanted_at IS NOT NULL")


def upgrade() -> None:
    op.add_column("devices", sa.Column("birth_wanted_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("devices", sa.Column("birth_asked_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_devices_birth", "devices", ["birth_wanted_at"], postgresql_where=WANTED, sqlite_where=WANTED)


def downgrade() -> None:
    op.drop_index("ix_devices_birth", "devices")
    op.drop_column("devices", "birth_asked_at")
    op.drop_column("devices", "birth_wanted_at")
