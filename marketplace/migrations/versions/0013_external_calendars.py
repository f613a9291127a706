"""Calendars kept elsewhere and their busy time, which claims as outages do.

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

KINDS = ("booking", "hold", "request", "outage", "external")
OWNERS = ("booking_id", "outage_id", "external_id")
ONE_OWNER = " + ".join(f"CASE WHEN {name} IS NULL THEN 0 ELSE 1 END" for name in OWNERS) + " = 1"
KEPT = "id, institution_id, resource_id, unit, lane, starts_at, ends_at, kind, booking_id, outage_id, active"
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
        "external_calendars",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("resource_id", sa.String(length=40), nullable=False),
        sa.Column("institution_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("url", sa.String(length=1000), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("etag", sa.String(length=200), nullable=True),
        sa.Column("modified", sa.String(length=200), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=40), nullable=False),
        sa.Column("run_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tried_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.String(length=80), nullable=True),
        sa.Column("error_status", sa.BigInteger(), nullable=True),
        sa.Column("entries", sa.BigInteger(), nullable=False),
        sa.Column("notes", sa.JSON(), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("url IS NOT NULL OR body IS NOT NULL", name=op.f("ck_external_calendars_address_or_file")),
        *(
            sa.CheckConstraint(f"length({name}) <= {length}", name=op.f(f"ck_external_calendars_{name}_length"))
            for name, length in (("name", 200), ("url", 1000), ("etag", 200), ("modified", 200), ("error", 80))
        ),
        sa.ForeignKeyConstraint(["resource_id"], ["resources.id"], name=op.f("fk_external_calendars_resource_id")),
        sa.ForeignKeyConstraint(["institution_id"], ["institutions.id"], name=op.f("fk_external_calendars_institution_id")),
        sa.ForeignKeyConstraint(["created_by"], ["people.id"], name=op.f("fk_external_calendars_created_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_external_calendars")),
    )
    op.create_index("ix_external_calendars_resource", "external_calendars", ["resource_id"])
    op.create_index("ix_external_calendars_due", "external_calendars", ["run_at"])
    op.create_table(
        "external_busy",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("calendar_id", sa.String(length=40), nullable=False),
        sa.Column("resource_id", sa.String(length=40), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("starts_at < ends_at", name=op.f("ck_external_busy_slot_not_empty")),
        sa.ForeignKeyConstraint(["calendar_id"], ["external_calendars.id"], name=op.f("fk_external_busy_calendar_id")),
        sa.ForeignKeyConstraint(["resource_id"], ["resources.id"], name=op.f("fk_external_busy_resource_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_external_busy")),
        sa.UniqueConstraint("calendar_id", "starts_at", name="uq_external_busy_start"),
    )
    op.create_index("ix_external_busy_resource", "external_busy", ["resource_id", "starts_at"])
    if op.get_bind().dialect.name == "sqlite":
        _claims_anew()
    else:
        _claims_changed()
    op.create_index("ix_claims_external", "claims", ["external_id"])


def _claims_changed() -> None:
    op.add_column("claims", sa.Column("external_id", sa.String(length=40), nullable=True))
    op.create_foreign_key(op.f("fk_claims_external_id"), "claims", "external_busy", ["external_id"], ["id"])
    for name, condition in (("one_owner", ONE_OWNER), ("claimkind", sa.column("kind").in_(KINDS))):
        op.drop_constraint(op.f(f"ck_claims_{name}"), "claims", type_="check")
        op.create_check_constraint(op.f(f"ck_claims_{name}"), "claims", condition)


def _claims_anew() -> None:
    """SQLite changes no CHECK of a table that is there: it is written anew, with its indexes and its guard."""
    op.create_table(
        "claims_anew",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("institution_id", sa.String(length=40), nullable=False),
        sa.Column("resource_id", sa.String(length=40), nullable=False),
        sa.Column("unit", sa.BigInteger(), nullable=False),
        sa.Column("lane", sa.BigInteger(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("booking_id", sa.String(length=40), nullable=True),
        sa.Column("outage_id", sa.String(length=40), nullable=True),
        sa.Column("external_id", sa.String(length=40), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.CheckConstraint(sa.column("kind").in_(KINDS), name=op.f("ck_claims_claimkind")),
        sa.CheckConstraint(ONE_OWNER, name=op.f("ck_claims_one_owner")),
        sa.CheckConstraint("starts_at < ends_at", name=op.f("ck_claims_slot_not_empty")),
        sa.ForeignKeyConstraint(["booking_id"], ["bookings.id"], name=op.f("fk_claims_booking_id")),
        sa.ForeignKeyConstraint(["external_id"], ["external_busy.id"], name=op.f("fk_claims_external_id")),
        sa.ForeignKeyConstraint(["institution_id"], ["institutions.id"], name=op.f("fk_claims_institution_id")),
        sa.ForeignKeyConstraint(["outage_id"], ["outages.id"], name=op.f("fk_claims_outage_id")),
        sa.ForeignKeyConstraint(["resource_id"], ["resources.id"], name=op.f("fk_claims_resource_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_claims")),
    )
    op.execute(f"INSERT INTO claims_anew ({KEPT}) SELECT {KEPT} FROM claims")
    op.drop_table("claims")
    op.rename_table("claims_anew", "claims")
    active = sa.text("active")
    op.create_index("ix_claims_free_time", "claims", ["resource_id", "starts_at", "ends_at"], sqlite_where=active)
    op.create_index("ix_claims_outage", "claims", ["outage_id"])
    op.create_index("ix_claims_owner", "claims", ["booking_id"])
    op.execute(GUARD.format(verb="insert", event="INSERT"))
    op.execute(GUARD.format(verb="update", event="UPDATE"))
