"""A hold that was paid and became a request is no hold any more: unanswered, it counts as such and not as never paid.

Revision ID: 0022
Revises: 0021
"""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        UPDATE bookings SET hold_until = NULL
        WHERE hold_until IS NOT NULL AND (decide_by IS NOT NULL OR state = 'requested' OR id IN (
            SELECT object_id FROM audit_entries WHERE action = 'confirm_hold' AND CAST("after" AS TEXT) LIKE '%"requested"%'))
        """
    )


def downgrade() -> None:
    """Until when a payment was awaited is not needed by an older version either."""
