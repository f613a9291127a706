"""By which of its two names a device logs in, so that a secret and its successor count at once in a password file too.

Revision ID: 0045
Revises: 0041
"""

import sqlalchemy as sa
from alembic import op

revision = "0045"
down_revision = "0041"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("devices", "old_secrets"):
        op.add_column(table, sa.Column("login_number", sa.BigInteger(), server_default="1", nullable=False))


def downgrade() -> None:
    for table in ("old_secrets", "devices"):
        op.drop_column(table, "login_number")
