"""Programmes: rules by year, what organisations are granted, what bookings hold of it, and what statements say of it.

Revision ID: 0053
Revises: 0050
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0053"
down_revision = "0050"
branch_labels = None
depends_on = None

CHOICES = {
    "programmekind": ("kind", ("voucher", "subsidy")),
    "mode": ("mode", ("deduct", "reimburse")),
    "base": ("base", ("service", "usage")),
    "sharestate": ("state", ("drafted", "owed", "claimed", "paid", "rejected")),
}
MOVES = {"drafted": ("owed",), "owed": ("claimed",), "claimed": ("owed", "paid", "rejected")}
FORWARD_SQLITE = """CREATE TRIGGER {table}_forward_only BEFORE UPDATE OF state ON {table} WHEN NOT ({allowed})
BEGIN
  SELECT RAISE(ABORT, 'states of {table} only move forward');
END"""
FORWARD_FUNCTION = """CREATE FUNCTION {table}_forward_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'states of {table} only move forward' USING ERRCODE = 'integrity_constraint_violation';
END $$"""
FORWARD_POSTGRES = """CREATE TRIGGER {table}_forward_only BEFORE UPDATE OF state ON {table}
FOR EACH ROW WHEN (NOT ({allowed})) EXECUTE FUNCTION {table}_forward_only()"""
STATEMENTS = ("programme_minor", "conditional_minor")


def upgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    _make_programmes(sqlite)
    _make_entitlements(sqlite)
    for column in STATEMENTS:
        op.add_column("statements", sa.Column(column, sa.BigInteger(), server_default="0", nullable=False))
    _make_shares(sqlite)


def _make_programmes(sqlite: bool) -> None:
    texts = {"name": 200, "name_en": 200, "payer": 200, "stack": 80, "currency": 80, "timezone": 80}
    kinds = [_choice(name) for name in ("programmekind", "mode", "base")]
    op.create_table(
        "programmes",
        sa.Column("id", sa.String(40), nullable=False),
        *(sa.Column(name, sa.String(most), nullable=name in {"name_en", "stack"}) for name, most in texts.items()),
        *kinds,
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("evidence_required", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("created_by", sa.String(40), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_programmes"),
        *(_known("programmes", name, sqlite) for name in ("programmekind", "mode", "base")),
        *_lengths("programmes", texts, sqlite),
    )
    op.create_table(
        "programme_years",
        sa.Column("programme_id", sa.String(40), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("rate", sa.String(80), nullable=False),
        sa.Column("booking_cap_minor", sa.BigInteger()),
        sa.Column("year_cap_minor", sa.BigInteger()),
        sa.PrimaryKeyConstraint("programme_id", "number", name="pk_programme_years"),
        sa.ForeignKeyConstraint(["programme_id"], ["programmes.id"], name="fk_programme_years_programme_id"),
        sa.CheckConstraint("number >= 1", name=op.f("ck_programme_years_number_from_one")),
        sa.CheckConstraint(
            "booking_cap_minor >= 0 AND year_cap_minor >= 0", name=op.f("ck_programme_years_caps_not_negative")
        ),
        *_lengths("programme_years", {"rate": 80}, sqlite),
    )


def _make_entitlements(sqlite: bool) -> None:
    op.create_table(
        "entitlements",
        *(sa.Column(name, sa.String(40), nullable=False) for name in ("id", "programme_id", "organisation_id")),
        sa.Column("year", sa.BigInteger(), nullable=False),
        sa.Column("granted_minor", sa.BigInteger(), nullable=False),
        *_counts("reserved_minor", "used_minor"),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reference", sa.String(200)),
        sa.Column("granted_by", sa.String(40), nullable=False),
        sa.Column("granted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_entitlements"),
        sa.ForeignKeyConstraint(["programme_id"], ["programmes.id"], name="fk_entitlements_programme_id"),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"], name="fk_entitlements_organisation_id"),
        sa.UniqueConstraint(
            "programme_id", "organisation_id", "year", name="uq_entitlements_programme_id_organisation_id_year"
        ),
        sa.CheckConstraint("reserved_minor + used_minor <= granted_minor", name=op.f("ck_entitlements_use_at_most_granted")),
        sa.CheckConstraint("reserved_minor >= 0 AND used_minor >= 0", name=op.f("ck_entitlements_use_not_negative")),
        *_lengths("entitlements", {"reference": 200}, sqlite),
    )
    op.create_index("ix_entitlements_organisation", "entitlements", ["organisation_id"])
    op.create_table(
        "entitlement_uses",
        *(sa.Column(name, sa.String(40), nullable=False) for name in ("booking_id", "entitlement_id")),
        *_counts("reserved_minor", "used_minor", "rejected_minor"),
        sa.PrimaryKeyConstraint("booking_id", "entitlement_id", name="pk_entitlement_uses"),
        sa.ForeignKeyConstraint(["booking_id"], ["bookings.id"], name="fk_entitlement_uses_booking_id"),
        sa.ForeignKeyConstraint(["entitlement_id"], ["entitlements.id"], name="fk_entitlement_uses_entitlement_id"),
        sa.CheckConstraint("reserved_minor >= 0 AND used_minor >= 0", name=op.f("ck_entitlement_uses_parts_not_negative")),
    )
    op.create_index("ix_entitlement_uses_entitlement", "entitlement_uses", ["entitlement_id"])


def _make_shares(sqlite: bool) -> None:
    amounts = ("amount_minor", "conditional_minor", "base_minor")
    op.create_table(
        "programme_shares",
        *(sa.Column(name, sa.String(40), nullable=False) for name in ("id", "statement_id", "booking_id", "entitlement_id")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in amounts),
        _choice("sharestate"),
        sa.Column("passed_on_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_programme_shares"),
        sa.ForeignKeyConstraint(["statement_id"], ["statements.id"], name="fk_programme_shares_statement_id"),
        sa.ForeignKeyConstraint(["booking_id"], ["bookings.id"], name="fk_programme_shares_booking_id"),
        sa.ForeignKeyConstraint(["entitlement_id"], ["entitlements.id"], name="fk_programme_shares_entitlement_id"),
        sa.UniqueConstraint("statement_id", "entitlement_id", name="uq_programme_shares_statement_id_entitlement_id"),
        _known("programme_shares", "sharestate", sqlite),
    )
    op.create_index("ix_programme_shares_booking", "programme_shares", ["booking_id"])
    op.create_index("ix_programme_shares_entitlement", "programme_shares", ["entitlement_id", "state"])
    steps = [f"(OLD.state = '{one}' AND NEW.state IN ({', '.join(repr(to) for to in later)}))" for one, later in MOVES.items()]
    allowed = " OR ".join(["OLD.state = NEW.state", *steps])
    if sqlite:
        op.execute(FORWARD_SQLITE.format(table="programme_shares", allowed=allowed))
    else:
        op.execute(FORWARD_FUNCTION.format(table="programme_shares"))
        op.execute(FORWARD_POSTGRES.format(table="programme_shares", allowed=allowed))


def _choice(name: str) -> sa.Column[str]:
    column, values = CHOICES[name]
    kind = sa.Enum(*values, name=name, native_enum=False, create_constraint=False, length=40)
    return sa.Column(column, kind, nullable=False)


def _known(table: str, name: str, sqlite: bool) -> sa.CheckConstraint:
    column, values = CHOICES[name]
    listed, packed = ", ".join(f"'{one}'" for one in values), ",".join(values)
    known = f"{column} IN ({listed})" if sqlite else f"{column} = ANY ('{{{packed}}}')"
    return sa.CheckConstraint(known, name=op.f(f"ck_{table}_{name}"))


def _lengths(table: str, texts: dict[str, int], sqlite: bool) -> Sequence[sa.CheckConstraint]:
    if not sqlite:
        return []
    return [sa.CheckConstraint(f"length({one}) <= {most}", name=op.f(f"ck_{table}_{one}_length")) for one, most in texts.items()]


def _counts(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger(), server_default="0", nullable=False) for name in names]


def downgrade() -> None:
    op.drop_table("programme_shares")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION programme_shares_forward_only")
    for column in reversed(STATEMENTS):
        op.drop_column("statements", column)
    for table in ("entitlement_uses", "entitlements", "programme_years", "programmes"):
        op.drop_table(table)
