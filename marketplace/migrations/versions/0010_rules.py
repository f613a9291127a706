"""Rules of a resource beyond times and lengths; what stands gets the defaults.

Revision ID: 0010
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def columns() -> list[sa.Column]:
    return [
        sa.Column("exceptions", sa.JSON(), server_default="[]", nullable=False),
        sa.Column("holidays", sa.String(length=8), nullable=True),
        sa.Column("quotas", sa.JSON(), server_default="[]", nullable=False),
        sa.Column("audience", sa.JSON(), server_default="[]", nullable=False),
        sa.Column("trusted", sa.JSON(), server_default="[]", nullable=False),
        sa.Column("decide_within_h", sa.BigInteger(), nullable=True),
        sa.Column("buffers_in_closed", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("waive_own_buffers", sa.Boolean(), server_default=sa.false(), nullable=False),
    ]


def upgrade() -> None:
    for column in columns():
        op.add_column("rule_versions", column)
    op.add_column("bookings", sa.Column("decide_by", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("bookings", "decide_by")
    for column in reversed(columns()):
        op.drop_column("rule_versions", column.name)
