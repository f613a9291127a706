"""The last hour's power with its times, so that the curves of several meters can be added; each device's next fold fills it anew.

Revision ID: 0034
Revises: 0033
"""

from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("UPDATE latest_samples SET power_series = '[]'")


def downgrade() -> None:
    op.execute("UPDATE latest_samples SET power_series = '[]'")
