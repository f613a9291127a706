"""Secrets that go on beside their successor for a while, and a count of changes of who may connect.

Revision ID: 0030
Revises: 0029
"""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    length = [sa.CheckConstraint("length(secret_hash) <= 1000", name=op.f("ck_old_secrets_secret_hash_length"))]
    op.create_table(
        "old_secrets",
        sa.Column("device_id", sa.String(40), nullable=False),
        sa.Column("secret_hash", sa.String(1000), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("device_id", name="pk_old_secrets"),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name="fk_old_secrets_device_id"),
        *(length if sqlite else []),
    )
    op.add_column("devices", sa.Column("access_version", sa.BigInteger(), server_default="1", nullable=False))


def downgrade() -> None:
    op.drop_column("devices", "access_version")
    op.drop_table("old_secrets")
