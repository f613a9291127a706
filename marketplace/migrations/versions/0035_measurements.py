"""When the two halves of a measurement of thresholds began.

Revision ID: 0035
Revises: 0034
"""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "threshold_measurements",
        sa.Column("device_id", sa.String(40), nullable=False),
        sa.Column("idle_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("run_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("device_id", name="pk_threshold_measurements"),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name="fk_threshold_measurements_device_id"),
    )


def downgrade() -> None:
    op.drop_table("threshold_measurements")
