"""A line's stations are looked up at every booking."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_index("ix_resources_parent", "resources", ["parent_id"])

