"""Waiting lists: places in them, and claims that hold what is offered to one.

Revision ID: 0015
Revises: 0014
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

KINDS = "kind IN ('booking', 'hold', 'request', 'outage', 'external'"
OWNERS = "CASE WHEN external_id IS NULL THEN 0 ELSE 1 END = 1"
ONE_OWNER = " + ".join(
    f"CASE WHEN {name} IS NULL THEN 0 ELSE 1 END" for name in ("booking_id", "outage_id", "external_id", "waiting_id")
) + " = 1"


def upgrade() -> None:
    op.add_column("rule_versions", sa.Column("offer_min", sa.BigInteger(), nullable=True))
    op.create_table(
        "waiting_entries",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("resource_id", sa.String(length=40), nullable=False),
        sa.Column("institution_id", sa.String(length=40), nullable=False),
        sa.Column("organisation_id", sa.String(length=40), nullable=True),
        sa.Column("person_id", sa.String(length=40), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("length_min", sa.BigInteger(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("category", _choice("category", "ext", "int", "self", "teach"), nullable=False),
        sa.Column("purpose", sa.String(length=1000), nullable=True),
        sa.Column(
            "state",
            _choice("waitingstate", "waiting", "offered", "booked", "declined", "lapsed", "withdrawn", "over"),
            nullable=False,
        ),
        sa.Column("joined_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("looked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("offer_starts_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("offer_ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("offered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("offered_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("booking_id", sa.String(length=40), nullable=True),
        sa.CheckConstraint("starts_at < ends_at", name=op.f("ck_waiting_entries_window_not_empty")),
        sa.CheckConstraint("quantity >= 1", name=op.f("ck_waiting_entries_quantity_positive")),
        sa.CheckConstraint("length_min >= 1", name=op.f("ck_waiting_entries_length_positive")),
        sa.CheckConstraint(
            "state <> 'offered' OR (offered_at < offered_until AND offer_starts_at < offer_ends_at)",
            name=op.f("ck_waiting_entries_offer_complete"),
        ),
        sa.CheckConstraint("state <> 'booked' OR booking_id IS NOT NULL", name=op.f("ck_waiting_entries_booked_is_known")),
        sa.CheckConstraint("length(purpose) <= 1000", name=op.f("ck_waiting_entries_purpose_length")),
        sa.ForeignKeyConstraint(["resource_id"], ["resources.id"], name=op.f("fk_waiting_entries_resource_id")),
        sa.ForeignKeyConstraint(["institution_id"], ["institutions.id"], name=op.f("fk_waiting_entries_institution_id")),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name=op.f("fk_waiting_entries_organisation_id")),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_waiting_entries_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_waiting_entries")),
    )
    op.create_index("ix_waiting_entries_line", "waiting_entries", ["resource_id", "state", "joined_at"])
    op.create_index("ix_waiting_entries_person", "waiting_entries", ["person_id", "joined_at"])
    op.create_index("ix_waiting_entries_due", "waiting_entries", ["state", "offered_until"])
    if op.get_bind().dialect.name == "sqlite":
        _rebuild_claims({KINDS: f"{KINDS}, 'offer'", OWNERS: OWNERS.replace(" = 1", " + CASE WHEN waiting_id IS NULL THEN 0 ELSE 1 END = 1"), "active BOOLEAN": "waiting_id VARCHAR(40), active BOOLEAN"})
    else:
        _alter_claims(["booking", "hold", "request", "outage", "external", "offer"])
    op.create_index("ix_claims_waiting", "claims", ["waiting_id"])


def _choice(name: str, *values: str) -> sa.Enum:
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=True, length=40)


def _alter_claims(kinds: list[str]) -> None:
    op.add_column("claims", sa.Column("waiting_id", sa.String(length=40), nullable=True))
    op.drop_constraint(op.f("ck_claims_claimkind"), "claims", type_="check")
    op.create_check_constraint(op.f("ck_claims_claimkind"), "claims", sa.column("kind", sa.String(length=40)).in_(kinds))
    op.drop_constraint(op.f("ck_claims_one_owner"), "claims", type_="check")
    op.create_check_constraint(op.f("ck_claims_one_owner"), "claims", ONE_OWNER)


def _rebuild_claims(changes: dict[str, str]) -> None:
    """SQLite cannot change a CHECK: the table is made anew from its own definition, with its indexes and triggers."""
    connection = op.get_bind()
    stored = connection.execute(sa.text("SELECT type, sql FROM sqlite_master WHERE tbl_name = 'claims' AND sql IS NOT NULL"))
    rows = stored.all()
    table = next(sql for kind, sql in rows if kind == "table")
    for old, new in changes.items():
        if table.count(old) != 1:
            raise ValueError(f"claims is not as it was: {old}")
        table = table.replace(old, new)
    columns = ", ".join(row[1] for row in connection.execute(sa.text("PRAGMA table_info(claims)")))
    connection.execute(sa.text("ALTER TABLE claims RENAME TO claims_before"))
    for kind, sql in rows:
        if kind == "index":
            connection.exec_driver_sql(f"DROP INDEX {sql.split(' ON ')[0].split()[-1]}")
    connection.exec_driver_sql(table)
    connection.exec_driver_sql(f"INSERT INTO claims ({columns}) SELECT {columns} FROM claims_before")
    connection.exec_driver_sql("DROP TABLE claims_before")
    for kind, sql in rows:
        if kind in {"index", "trigger"}:
            connection.exec_driver_sql(sql)
