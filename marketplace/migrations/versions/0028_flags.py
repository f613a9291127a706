"""Flags: open questions about what a meter said, with their evidence, and up to which day each meter was looked at.

Revision ID: 0028
Revises: 0027
"""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

KINDS = ("flat", "replayed", "energy_mismatch", "over_rating", "always_on", "clock")


def upgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    length = [sa.CheckConstraint("length(comment) <= 1000", name=op.f("ck_device_flags_comment_length"))]
    kind = sa.Enum(*KINDS, name="kind", native_enum=False, create_constraint=False, length=40)
    listed, packed = ", ".join(f"'{one}'" for one in KINDS), ",".join(KINDS)
    known = f"kind IN ({listed})" if sqlite else f"kind = ANY ('{{{packed}}}')"
    op.create_table(
        "device_flags",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("device_id", sa.String(40), nullable=False),
        sa.Column("resource_id", sa.String(40), nullable=False),
        sa.Column("kind", kind, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("raised_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True)),
        sa.Column("closed_by", sa.String(40)),
        sa.Column("comment", sa.String(1000)),
        sa.PrimaryKeyConstraint("id", name="pk_device_flags"),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name="fk_device_flags_device_id"),
        sa.UniqueConstraint("device_id", "day", "kind", name="uq_device_flags_device_id_day_kind"),
        sa.CheckConstraint(known, name=op.f("ck_device_flags_kind")),
        *(length if sqlite else []),
    )
    op.create_index("ix_device_flags_resource", "device_flags", ["resource_id", "day"])
    op.create_table(
        "flag_looks",
        sa.Column("device_id", sa.String(40), nullable=False),
        sa.Column("until", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("device_id", name="pk_flag_looks"),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name="fk_flag_looks_device_id"),
    )


def downgrade() -> None:
    op.drop_table("flag_looks")
    op.drop_table("device_flags")
