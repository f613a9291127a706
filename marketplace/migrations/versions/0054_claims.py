"""Claims on programmes: what is handed in together, how it was answered, and what was passed on to institutions.

Revision ID: 0054
Revises: 0053
"""

import sqlalchemy as sa
from alembic import op

revision = "0054"
down_revision = "0053"
branch_labels = None
depends_on = None

STATES = ("submitted", "paid", "rejected")
ALLOWED = "OLD.state = NEW.state OR (OLD.state = 'submitted' AND NEW.state IN ('paid', 'rejected'))"
FORWARD_SQLITE = f"""CREATE TRIGGER programme_claims_forward_only BEFORE UPDATE OF state ON programme_claims WHEN NOT ({ALLOWED})
BEGIN
  SELECT RAISE(ABORT, 'states of programme_claims only move forward');
END"""
FORWARD_POSTGRES = f"""CREATE FUNCTION programme_claims_forward_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'states of programme_claims only move forward' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER programme_claims_forward_only BEFORE UPDATE OF state ON programme_claims
FOR EACH ROW WHEN (NOT ({ALLOWED})) EXECUTE FUNCTION programme_claims_forward_only()"""
NEVER_SQLITE = """CREATE TRIGGER programme_payouts_never_{verb} BEFORE {event} ON programme_payouts
BEGIN
  SELECT RAISE(ABORT, 'rows of programme_payouts never change');
END"""
NEVER_POSTGRES = """CREATE FUNCTION programme_payouts_never_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'rows of programme_payouts never change' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER programme_payouts_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON programme_payouts
FOR EACH STATEMENT EXECUTE FUNCTION programme_payouts_never_change()"""


def upgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    _make_claims(sqlite)
    _make_parts(sqlite)
    if sqlite:
        op.execute(FORWARD_SQLITE)
        for verb in ("update", "delete"):
            op.execute(NEVER_SQLITE.format(verb=verb, event=verb.upper()))
    else:
        op.execute(FORWARD_POSTGRES)
        op.execute(NEVER_POSTGRES)


def _make_claims(sqlite: bool) -> None:
    state = sa.Enum(*STATES, name="claimstate", native_enum=False, create_constraint=False, length=40)
    listed, packed = ", ".join(f"'{one}'" for one in STATES), ",".join(STATES)
    known = f"state IN ({listed})" if sqlite else f"state = ANY ('{{{packed}}}')"
    op.create_table(
        "programme_claims",
        *(sa.Column(name, sa.String(40), nullable=False) for name in ("id", "programme_id", "created_by")),
        sa.Column("number", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.DateTime(timezone=True), nullable=False) for name in ("period_from", "period_to", "created_at")),
        sa.Column("state", state, nullable=False),
        sa.Column("currency", sa.String(80), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("paid_minor", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("serial", sa.String(200)),
        sa.Column("received_on", sa.Date()),
        sa.Column("decided_by", sa.String(40)),
        sa.Column("decided_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_programme_claims"),
        sa.ForeignKeyConstraint(["programme_id"], ["programmes.id"], name="fk_programme_claims_programme_id"),
        sa.UniqueConstraint("programme_id", "number", name="uq_programme_claims_programme_id_number"),
        sa.UniqueConstraint("programme_id", "serial", name="uq_programme_claims_programme_id_serial"),
        sa.CheckConstraint("paid_minor <= amount_minor", name=op.f("ck_programme_claims_paid_at_most_asked")),
        sa.CheckConstraint(known, name=op.f("ck_programme_claims_claimstate")),
        *_lengths("programme_claims", {"currency": 80, "serial": 200}, sqlite),
    )


def _make_parts(sqlite: bool) -> None:
    op.create_table(
        "programme_claim_lines",
        sa.Column("share_id", sa.String(40), nullable=False),
        sa.Column("claim_id", sa.String(40), nullable=False),
        sa.Column("reason", sa.String(1000)),
        sa.PrimaryKeyConstraint("share_id", name="pk_programme_claim_lines"),
        sa.ForeignKeyConstraint(["share_id"], ["programme_shares.id"], name="fk_programme_claim_lines_share_id"),
        sa.ForeignKeyConstraint(["claim_id"], ["programme_claims.id"], name="fk_programme_claim_lines_claim_id"),
        *_lengths("programme_claim_lines", {"reason": 1000}, sqlite),
    )
    op.create_index("ix_programme_claim_lines_claim", "programme_claim_lines", ["claim_id"])
    op.create_table(
        "programme_payouts",
        *(sa.Column(name, sa.String(40), nullable=False) for name in ("id", "claim_id", "institution_id", "recorded_by")),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(80), nullable=False),
        sa.Column("serial", sa.String(200), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_programme_payouts"),
        sa.ForeignKeyConstraint(["claim_id"], ["programme_claims.id"], name="fk_programme_payouts_claim_id"),
        sa.ForeignKeyConstraint(["institution_id"], ["institutions.id"], name="fk_programme_payouts_institution_id"),
        sa.UniqueConstraint("claim_id", "institution_id", name="uq_programme_payouts_claim_id_institution_id"),
        *_lengths("programme_payouts", {"currency": 80, "serial": 200}, sqlite),
    )


def _lengths(table: str, texts: dict[str, int], sqlite: bool) -> list[sa.CheckConstraint]:
    if not sqlite:
        return []
    return [sa.CheckConstraint(f"length({one}) <= {most}", name=op.f(f"ck_{table}_{one}_length")) for one, most in texts.items()]


def downgrade() -> None:
    for table in ("programme_payouts", "programme_claim_lines", "programme_claims"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        for function in ("programme_claims_forward_only", "programme_payouts_never_change"):
            op.execute(f"DROP FUNCTION {function}")
