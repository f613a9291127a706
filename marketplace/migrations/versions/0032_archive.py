"""Raw messages move into Parquet files: which files there are, what lies in them, and up to where each device's are archived.

Revision ID: 0032
Revises: 0030
"""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0030"
branch_labels = None
depends_on = None

UNMOVED = sa.text("moved_at IS NULL")


def upgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"

    def short(table: str, *names: str) -> list[sa.CheckConstraint]:
        return [sa.CheckConstraint(f"length({one}) <= 80", name=op.f(f"ck_{table}_{one}_length")) for one in names if sqlite]

    op.add_column("devices", sa.Column("archived_until", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "archive_files",
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("devices", sa.BigInteger(), nullable=False),
        sa.Column("messages", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(80), nullable=False),
        sa.Column("written_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_archive_files"),
        *short("archive_files", "name", "digest"),
    )
    op.create_index("ix_archive_files_day", "archive_files", ["day"])
    op.create_table(
        "archived_days",
        sa.Column("device_id", sa.String(40), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("file", sa.String(80), nullable=False),
        sa.Column("messages", sa.BigInteger(), nullable=False),
        sa.Column("births", sa.Boolean(), nullable=False),
        sa.Column("moved_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("device_id", "day", name="pk_archived_days"),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name="fk_archived_days_device_id"),
        sa.ForeignKeyConstraint(["file"], ["archive_files.name"], name="fk_archived_days_file"),
        *short("archived_days", "file"),
    )
    op.create_index("ix_archived_days_file", "archived_days", ["file"])
    op.create_index("ix_archived_days_unmoved", "archived_days", ["file"], postgresql_where=UNMOVED, sqlite_where=UNMOVED)
    op.create_table(
        "rejected_counts",
        sa.Column("device_key", sa.String(80), nullable=False),
        sa.Column("reason", sa.String(80), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("device_key", "reason", name="pk_rejected_counts"),
        *short("rejected_counts", "device_key", "reason"),
    )


def downgrade() -> None:
    op.drop_table("rejected_counts")
    op.drop_table("archived_days")
    op.drop_table("archive_files")
    op.drop_column("devices", "archived_until")
