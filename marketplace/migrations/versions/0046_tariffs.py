"""What a quote freezes for a tariff: whether an operator stands by, set-up and cleaning that are billed. What of a statement is tax.

Revision ID: 0046
Revises: 0045
"""

import sqlalchemy as sa
from alembic import op

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("booking_quotes", sa.Column("assisted", sa.Boolean(), server_default=sa.false(), nullable=False))
    for table, column in (("booking_quotes", "setup_s"), ("booking_quotes", "cleanup_s"), ("statements", "tax_minor")):
        op.add_column(table, sa.Column(column, sa.BigInteger(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("statements", "tax_minor")
    for column in ("cleanup_s", "setup_s", "assisted"):
        op.drop_column("booking_quotes", column)
