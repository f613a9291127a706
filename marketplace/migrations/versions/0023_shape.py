"""A resource counts the changes of its rules and parts, so that a booking which waited for one of them sees it.

Revision ID: 0023
Revises: 0022
"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("resources", sa.Column("shape", sa.BigInteger(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("resources", "shape")
