"""Series that are edited: their version, what they were split from, occurrences that were moved alone. Swaps. Ratings. Why requests ended."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.add_column("booking_series", sa.Column("version", sa.BigInteger(), server_default=sa.text("1"), nullable=False))
    op.add_column("booking_series", sa.Column("split_from", sa.String(length=40), nullable=True))
    op.create_table(
        "moved_occurrences",
        sa.Column("booking_id", sa.String(length=40), nullable=False),
        sa.Column("series_id", sa.String(length=40), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("starts_at < ends_at", name=op.f("ck_moved_occurrences_slot_not_empty")),
        sa.ForeignKeyConstraint(["booking_id"], ["bookings.id"], name=op.f("fk_moved_occurrences_booking_id")),
        sa.ForeignKeyConstraint(["series_id"], ["booking_series.id"], name=op.f("fk_moved_occurrences_series_id")),
        sa.PrimaryKeyConstraint("booking_id", name=op.f("pk_moved_occurrences")),
    )
    op.create_index("ix_moved_occurrences_series", "moved_occurrences", ["series_id"])
    op.create_table(
        "swaps",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("booking_id", sa.String(length=40), nullable=False),
        sa.Column("with_booking_id", sa.String(length=40), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("with_version", sa.BigInteger(), nullable=False),
        sa.Column("state", _choice("swapstate", "proposed", "accepted", "declined", "withdrawn", "expired"), nullable=False),
        sa.Column("proposed_by", sa.String(length=40), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answer_by", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_by", sa.String(length=40), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("booking_id <> with_booking_id", name=op.f("ck_swaps_two_bookings")),
        sa.CheckConstraint("(state = 'proposed') = (answered_at IS NULL)", name=op.f("ck_swaps_answered_once")),
        sa.ForeignKeyConstraint(["booking_id"], ["bookings.id"], name=op.f("fk_swaps_booking_id")),
        sa.ForeignKeyConstraint(["with_booking_id"], ["bookings.id"], name=op.f("fk_swaps_with_booking_id")),
        sa.ForeignKeyConstraint(["proposed_by"], ["people.id"], name=op.f("fk_swaps_proposed_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_swaps")),
    )
    proposed = sa.text("state = 'proposed'")
    op.create_index("ix_swaps_open", "swaps", ["booking_id"], unique=True, postgresql_where=proposed, sqlite_where=proposed)
    op.create_index("ix_swaps_with", "swaps", ["with_booking_id"])
    op.create_index("ix_swaps_due", "swaps", ["state", "answer_by"])
    op.create_table(
        "ratings",
        sa.Column("booking_id", sa.String(length=40), nullable=False),
        sa.Column("resource_id", sa.String(length=40), nullable=False),
        sa.Column("stars", sa.BigInteger(), nullable=False),
        sa.Column("comment", sa.String(length=1000), nullable=True),
        sa.Column("rated_by", sa.String(length=40), nullable=False),
        sa.Column("rated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("edited_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("stars BETWEEN 1 AND 5", name=op.f("ck_ratings_stars_one_to_five")),
        sa.CheckConstraint("length(comment) <= 1000", name=op.f("ck_ratings_comment_length")),
        sa.ForeignKeyConstraint(["booking_id"], ["bookings.id"], name=op.f("fk_ratings_booking_id")),
        sa.ForeignKeyConstraint(["resource_id"], ["resources.id"], name=op.f("fk_ratings_resource_id")),
        sa.ForeignKeyConstraint(["rated_by"], ["people.id"], name=op.f("fk_ratings_rated_by")),
        sa.PrimaryKeyConstraint("booking_id", name=op.f("pk_ratings")),
    )
    op.create_index("ix_ratings_resource", "ratings", ["resource_id", "rated_at"])
    op.create_table(
        "request_ends",
        sa.Column("booking_id", sa.String(length=40), nullable=False),
        sa.Column("grounds", _choice("grounds", "declined_capacity", "out_of_scope", "withdrawn"), nullable=False),
        sa.Column("reason", sa.String(length=1000), nullable=True),
        sa.Column("ended_by", sa.String(length=40), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("length(reason) <= 1000", name=op.f("ck_request_ends_reason_length")),
        sa.ForeignKeyConstraint(["booking_id"], ["bookings.id"], name=op.f("fk_request_ends_booking_id")),
        sa.PrimaryKeyConstraint("booking_id", name=op.f("pk_request_ends")),
    )


def _choice(name: str, *values: str) -> sa.Enum:
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=True, length=40)


def downgrade() -> None:
    op.drop_table("request_ends")
    op.drop_table("ratings")
    op.drop_table("swaps")
    op.drop_table("moved_occurrences")
    op.drop_column("booking_series", "split_from")
    op.drop_column("booking_series", "version")
