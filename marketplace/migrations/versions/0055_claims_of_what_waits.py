"""What waits for the provider, or came from it, is found without a walk past all that is done.

Revision ID: 0055
Revises: 0054
"""

import sqlalchemy as sa
from alembic import op

revision = "0055"
down_revision = "0054"
branch_labels = None
depends_on = None

CALLS, EVENTS = "ix_provider_calls_due", "ix_provider_events_due"
OPEN = sa.text("done_at IS NULL")


def upgrade() -> None:
    op.drop_index(CALLS, "provider_calls")
    op.drop_index(EVENTS, "provider_events")
    op.create_index(CALLS, "provider_calls", ["state", "run_at", "seq"])
    op.create_index(EVENTS, "provider_events", ["run_at"], postgresql_where=OPEN, sqlite_where=OPEN)


def downgrade() -> None:
    op.drop_index(EVENTS, "provider_events")
    op.drop_index(CALLS, "provider_calls")
    op.create_index(CALLS, "provider_calls", ["run_at"], postgresql_where=sa.text("state = 'waiting'"))
    op.create_index(EVENTS, "provider_events", ["run_at"], postgresql_where=OPEN)
