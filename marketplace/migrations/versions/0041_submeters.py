"""Which meter measures part of what another one does, since when.

Revision ID: 0041
Revises: 0038
"""

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "submeters",
        sa.Column("device_id", sa.String(40), nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("measured_by", sa.String(40), nullable=True),
        sa.Column("created_by", sa.String(40), nullable=True),
        sa.PrimaryKeyConstraint("device_id", "valid_from", name="pk_submeters"),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name="fk_submeters_device_id"),
        sa.ForeignKeyConstraint(["measured_by"], ["devices.id"], name="fk_submeters_measured_by"),
        sa.CheckConstraint("measured_by <> device_id", name=op.f("ck_submeters_not_itself")),
    )
    op.create_index("ix_submeters_measured_by", "submeters", ["measured_by"])


def downgrade() -> None:
    op.drop_table("submeters")
