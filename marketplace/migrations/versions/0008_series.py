"""Repeated bookings."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "booking_series",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("resource_id", sa.String(length=40), nullable=False),
        sa.Column("institution_id", sa.String(length=40), nullable=False),
        sa.Column("organisation_id", sa.String(length=40), nullable=True),
        sa.Column("person_id", sa.String(length=40), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rrule", sa.String(length=1000), nullable=False),
        sa.Column(
            "on_conflict",
            sa.Enum("refuse", "skip", name="onconflict", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("gaps", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("length(rrule) <= 1000", name=op.f("ck_booking_series_rrule_length")),
        sa.CheckConstraint("starts_at < ends_at", name=op.f("ck_booking_series_slot_not_empty")),
        sa.ForeignKeyConstraint(["institution_id"], ["institutions.id"], name=op.f("fk_booking_series_institution_id")),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name=op.f("fk_booking_series_organisation_id")),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_booking_series_person_id")),
        sa.ForeignKeyConstraint(["resource_id"], ["resources.id"], name=op.f("fk_booking_series_resource_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_booking_series")),
    )
    op.create_index("ix_booking_series_person", "booking_series", ["person_id"])
    op.add_column("bookings", sa.Column("series_id", sa.String(length=40), nullable=True))
    op.create_index("ix_bookings_series", "bookings", ["series_id"])
