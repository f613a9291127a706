"""Until when one may check in, and how long a use may run on: rules of a resource; none where nobody has set them.

Revision ID: 0038
Revises: 0037
"""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None

RULES = ("check_in_grace_min", "overtime_min")


def upgrade() -> None:
    for name in RULES:
        op.add_column("rule_versions", sa.Column(name, sa.BigInteger(), nullable=True))


def downgrade() -> None:
    for name in reversed(RULES):
        op.drop_column("rule_versions", name)
