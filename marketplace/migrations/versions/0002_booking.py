"""Rules, bookings, the occupancy ledger with its guard against overlap, outages."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
GUARD = """
CREATE TRIGGER claims_no_overlap_{verb} BEFORE {event} ON claims WHEN NEW.active
BEGIN
  SELECT RAISE(ABORT, 'claims_no_overlap') WHERE EXISTS (
    SELECT 1 FROM claims
    WHERE resource_id = NEW.resource_id AND unit = NEW.unit AND lane = NEW.lane AND active AND id <> NEW.id
      AND starts_at < NEW.ends_at AND ends_at > NEW.starts_at);
END
"""


def upgrade() -> None:
    op.create_table(
        "outages",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("resource_id", sa.String(length=40), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("planned", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.String(length=1000), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.String(length=40), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("length(reason) <= 1000", name=op.f("ck_outages_reason_length")),
        sa.ForeignKeyConstraint(["resource_id"], ["resources.id"], name=op.f("fk_outages_resource_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outages")),
    )
    op.create_index("ix_outages_resource", "outages", ["resource_id", "starts_at"], unique=False)
    op.create_table(
        "refused_requests",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("resource_id", sa.String(length=40), nullable=False),
        sa.Column("organisation_id", sa.String(length=40), nullable=True),
        sa.Column("person_id", sa.String(length=40), nullable=True),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("outcome", sa.String(length=80), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("length(outcome) <= 80", name=op.f("ck_refused_requests_outcome_length")),
        sa.ForeignKeyConstraint(["resource_id"], ["resources.id"], name=op.f("fk_refused_requests_resource_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refused_requests")),
    )
    op.create_index("ix_refused_requests_resource", "refused_requests", ["resource_id", "submitted_at"], unique=False)
    op.create_table(
        "rule_versions",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("resource_id", sa.String(length=40), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("hours", sa.JSON(), nullable=False),
        sa.Column("step_min", sa.BigInteger(), nullable=False),
        sa.Column("min_min", sa.BigInteger(), nullable=False),
        sa.Column("max_min", sa.BigInteger(), nullable=False),
        sa.Column("notice_min", sa.BigInteger(), nullable=False),
        sa.Column("horizon_days", sa.BigInteger(), nullable=False),
        sa.Column("setup_min", sa.BigInteger(), nullable=False),
        sa.Column("cleaning_min", sa.BigInteger(), nullable=False),
        sa.Column(
            "buffer_mode", sa.Enum("sum", "max", name="gap", native_enum=False, create_constraint=True, length=40), nullable=False
        ),
        sa.Column(
            "approval",
            sa.Enum("instant", "request", name="approval", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["resource_id"], ["resources.id"], name=op.f("fk_rule_versions_resource_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rule_versions")),
        sa.UniqueConstraint("resource_id", "number", name=op.f("uq_rule_versions_resource_id_number")),
    )
    op.create_table(
        "bookings",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("resource_id", sa.String(length=40), nullable=False),
        sa.Column("institution_id", sa.String(length=40), nullable=False),
        sa.Column("organisation_id", sa.String(length=40), nullable=True),
        sa.Column("person_id", sa.String(length=40), nullable=False),
        sa.Column("rules_id", sa.String(length=40), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column(
            "category",
            sa.Enum("ext", "int", "self", "teach", name="category", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("purpose", sa.String(length=1000), nullable=True),
        sa.Column(
            "state",
            sa.Enum(
                "held",
                "requested",
                "confirmed",
                "completed",
                "cancelled",
                "no_show",
                "expired",
                "refused",
                "provider_failed",
                "unverifiable",
                name="bookingstate",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("hold_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancelled_by", sa.String(length=40), nullable=True),
        sa.Column("cancelled_by_provider", sa.Boolean(), nullable=False),
        sa.Column("concluded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("length(purpose) <= 1000", name=op.f("ck_bookings_purpose_length")),
        sa.CheckConstraint("quantity >= 1", name=op.f("ck_bookings_quantity_positive")),
        sa.CheckConstraint("starts_at < ends_at", name=op.f("ck_bookings_slot_not_empty")),
        sa.ForeignKeyConstraint(["institution_id"], ["institutions.id"], name=op.f("fk_bookings_institution_id")),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name=op.f("fk_bookings_organisation_id")),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_bookings_person_id")),
        sa.ForeignKeyConstraint(["resource_id"], ["resources.id"], name=op.f("fk_bookings_resource_id")),
        sa.ForeignKeyConstraint(["rules_id"], ["rule_versions.id"], name=op.f("fk_bookings_rules_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bookings")),
    )
    op.create_index("ix_bookings_open", "bookings", ["state", "ends_at"], unique=False)
    op.create_index("ix_bookings_organisation", "bookings", ["organisation_id", "starts_at"], unique=False)
    op.create_index("ix_bookings_person", "bookings", ["person_id", "starts_at"], unique=False)
    op.create_index("ix_bookings_resource", "bookings", ["resource_id", "starts_at"], unique=False)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("CREATE EXTENSION IF NOT EXISTS btree_gist")
    op.create_table(
        "claims",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("institution_id", sa.String(length=40), nullable=False),
        sa.Column("resource_id", sa.String(length=40), nullable=False),
        sa.Column("unit", sa.BigInteger(), nullable=False),
        sa.Column("lane", sa.BigInteger(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "booking", "hold", "request", "outage", name="claimkind", native_enum=False, create_constraint=True, length=40
            ),
            nullable=False,
        ),
        sa.Column("booking_id", sa.String(length=40), nullable=True),
        sa.Column("outage_id", sa.String(length=40), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        postgresql.ExcludeConstraint(
            (sa.column("resource_id"), "="),
            (sa.column("unit"), "="),
            (sa.column("lane"), "="),
            (sa.text("tstzrange(starts_at, ends_at, '[)')"), "&&"),
            where=sa.text("active"),
            using="gist",
            name="claims_no_overlap",
        ).ddl_if(dialect="postgresql"),
        sa.CheckConstraint("(booking_id IS NULL) <> (outage_id IS NULL)", name=op.f("ck_claims_one_owner")),
        sa.CheckConstraint("starts_at < ends_at", name=op.f("ck_claims_slot_not_empty")),
        sa.ForeignKeyConstraint(["booking_id"], ["bookings.id"], name=op.f("fk_claims_booking_id")),
        sa.ForeignKeyConstraint(["institution_id"], ["institutions.id"], name=op.f("fk_claims_institution_id")),
        sa.ForeignKeyConstraint(["outage_id"], ["outages.id"], name=op.f("fk_claims_outage_id")),
        sa.ForeignKeyConstraint(["resource_id"], ["resources.id"], name=op.f("fk_claims_resource_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_claims")),
    )
    op.create_index(
        "ix_claims_free_time",
        "claims",
        ["resource_id", "starts_at", "ends_at"],
        unique=False,
        postgresql_where=sa.text("active"),
        sqlite_where=sa.text("active"),
    )
    op.create_index("ix_claims_outage", "claims", ["outage_id"], unique=False)
    op.create_index("ix_claims_owner", "claims", ["booking_id"], unique=False)
    if op.get_bind().dialect.name == "sqlite":
        op.execute(GUARD.format(verb="insert", event="INSERT"))
        op.execute(GUARD.format(verb="update", event="UPDATE"))
