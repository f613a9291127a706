"""Certificates of devices: which are issued, until when, and which no longer count.

Revision ID: 0027
Revises: 0026
"""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    length = [sa.CheckConstraint("length(serial) <= 80", name=op.f("ck_device_certificates_serial_length"))]
    op.create_table(
        "device_certificates",
        sa.Column("serial", sa.String(80), nullable=False),
        sa.Column("device_id", sa.String(40), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("serial", name="pk_device_certificates"),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name="fk_device_certificates_device_id"),
        *(length if sqlite else []),
    )
    op.create_index("ix_device_certificates_device", "device_certificates", ["device_id"])
    where = sa.text("revoked_at IS NOT NULL")
    op.create_index(
        "ix_device_certificates_revoked", "device_certificates", ["revoked_at"], postgresql_where=where, sqlite_where=where
    )


def downgrade() -> None:
    op.drop_table("device_certificates")
