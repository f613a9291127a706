"""A line's stations are looked up at every booking.

Revision ID: 0006
Revises: 0005
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_resources_parent", "resources", ["parent_id"])


def downgrade() -> None:
    op.drop_index("ix_resources_parent", "resources")
