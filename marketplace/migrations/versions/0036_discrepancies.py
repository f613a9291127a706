"""Discrepancies: what bills and published figures rest on, what late messages would make of it, and what answers that.

What was accepted or published before is sealed without a digest.

Revision ID: 0036
Revises: 0035
"""

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

CAUSES = ("statement", "evaluation")
FROZEN = ("sealed_stretches", "discrepancies", "paid_back", "discrepancy_answers")
NEVER = """
CREATE TRIGGER {table}_never_{verb} BEFORE {event} ON {table}
BEGIN
  SELECT RAISE(ABORT, 'rows of {table} never change');
END
"""
NEVER_CHANGE = """
CREATE OR REPLACE FUNCTION {table}_never_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'rows of {table} never change' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER {table}_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION {table}_never_change()
"""
PARTS = """
WITH RECURSIVE parts (root, part) AS (
  SELECT id, id FROM resources UNION SELECT parts.root, resources.id FROM parts JOIN resources ON resources.parent_id = parts.part
)"""
ACCEPTED = f"""{PARTS}
INSERT INTO sealed_stretches (resource_id, starts_at, cause_id, ends_at, cause, sealed_at, sessions)
SELECT parts.part, bookings.starts_at, statements.id, bookings.ends_at, 'statement', statements.accepted_at, {{nothing}}
FROM statements JOIN bookings ON bookings.id = statements.booking_id JOIN parts ON parts.root = bookings.resource_id
WHERE statements.state IN ('accepted', 'settled') AND statements.use_id IS NOT NULL
"""
PUBLISHED = f"""{PARTS}
INSERT INTO sealed_stretches (resource_id, starts_at, cause_id, ends_at, cause, sealed_at, sessions)
SELECT DISTINCT parts.part, evaluation_revisions.period_from, evaluation_revisions.id,
  evaluation_revisions.period_to, 'evaluation', evaluation_revisions.cut_off, {{nothing}}
FROM evaluation_revisions JOIN published_figures ON published_figures.revision_id = evaluation_revisions.id
JOIN parts ON parts.root = published_figures.object_id
WHERE evaluation_revisions.number = 1 AND published_figures.scope = 'unit'
"""


def upgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    _make_sealed(sqlite)
    _make_discrepancies()
    _make_paid_back(sqlite)
    _make_answers()
    for rows in (ACCEPTED, PUBLISHED):
        op.execute(rows.format(nothing="'[]'" if sqlite else "'[]'::jsonb"))
    for table in FROZEN:
        if sqlite:
            for verb in ("update", "delete"):
                op.execute(NEVER.format(table=table, verb=verb, event=verb.upper()))
        else:
            op.execute(NEVER_CHANGE.format(table=table))


def _make_sealed(sqlite: bool) -> None:
    cause = sa.Enum(*CAUSES, name="cause", native_enum=False, create_constraint=False, length=40)
    listed, packed = ", ".join(f"'{one}'" for one in CAUSES), ",".join(CAUSES)
    known = f"cause IN ({listed})" if sqlite else f"cause = ANY ('{{{packed}}}')"
    lengths = [sa.CheckConstraint("length(digest) <= 80", name=op.f("ck_sealed_stretches_digest_length"))]
    op.create_table(
        "sealed_stretches",
        sa.Column("resource_id", sa.String(40), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cause_id", sa.String(40), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cause", cause, nullable=False),
        sa.Column("sealed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sessions", sa.JSON(), nullable=False),
        sa.Column("digest", sa.String(80)),
        sa.PrimaryKeyConstraint("resource_id", "starts_at", "cause_id", name="pk_sealed_stretches"),
        sa.ForeignKeyConstraint(["resource_id"], ["resources.id"], name="fk_sealed_stretches_resource_id"),
        sa.CheckConstraint(known, name=op.f("ck_sealed_stretches_cause")),
        *(lengths if sqlite else []),
    )
    op.create_index("ix_sealed_stretches_end", "sealed_stretches", ["resource_id", "ends_at"])
    op.create_index("ix_sealed_stretches_cause", "sealed_stretches", ["cause_id"])


def _make_discrepancies() -> None:
    counts = [sa.Column(name, sa.BigInteger(), nullable=False) for name in ("was_s", "would_be_s", "was_wh", "would_be_wh")]
    op.create_table(
        "discrepancies",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("device_id", sa.String(40), nullable=False),
        sa.Column("resource_id", sa.String(40), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("differs", sa.Boolean(), nullable=False),
        sa.Column("was", sa.JSON(), nullable=False),
        sa.Column("would_be", sa.JSON(), nullable=False),
        *counts,
        sa.Column("messages", sa.JSON(), nullable=False),
        sa.Column("rests_on", sa.JSON(), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_discrepancies"),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name="fk_discrepancies_device_id"),
        sa.ForeignKeyConstraint(["resource_id"], ["resources.id"], name="fk_discrepancies_resource_id"),
        sa.UniqueConstraint("device_id", "day", "number", name="uq_discrepancies_device_id_day_number"),
        sa.CheckConstraint("ends_at > starts_at", name=op.f("ck_discrepancies_not_empty")),
    )
    op.create_index("ix_discrepancies_resource", "discrepancies", ["resource_id", "ends_at"])
    op.create_index("ix_discrepancies_found", "discrepancies", ["found_at"])


def _make_paid_back(sqlite: bool) -> None:
    lengths = {"currency": 80, "serial": 200}
    checks = [sa.CheckConstraint(f"length({one}) <= {most}", name=op.f(f"ck_paid_back_{one}_length")) for one, most in lengths.items()]
    op.create_table(
        "paid_back",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("booking_id", sa.String(40), nullable=False),
        sa.Column("institution_id", sa.String(40), nullable=False),
        sa.Column("statement_id", sa.String(40), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(80), nullable=False),
        sa.Column("serial", sa.String(200), nullable=False),
        sa.Column("recorded_by", sa.String(40), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_paid_back"),
        sa.ForeignKeyConstraint(["booking_id"], ["bookings.id"], name="fk_paid_back_booking_id"),
        sa.ForeignKeyConstraint(["institution_id"], ["institutions.id"], name="fk_paid_back_institution_id"),
        sa.ForeignKeyConstraint(["statement_id"], ["statements.id"], name="fk_paid_back_statement_id"),
        sa.UniqueConstraint("institution_id", "serial", name="uq_paid_back_institution_id_serial"),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_paid_back_amount_positive")),
        *(checks if sqlite else []),
    )
    op.create_index("ix_paid_back_booking", "paid_back", ["booking_id"])


def _make_answers() -> None:
    op.create_table(
        "discrepancy_answers",
        sa.Column("discrepancy_id", sa.String(40), nullable=False),
        sa.Column("revision_id", sa.String(40), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("discrepancy_id", "revision_id", name="pk_discrepancy_answers"),
        sa.ForeignKeyConstraint(["discrepancy_id"], ["discrepancies.id"], name="fk_discrepancy_answers_discrepancy_id"),
        sa.ForeignKeyConstraint(["revision_id"], ["evaluation_revisions.id"], name="fk_discrepancy_answers_revision_id"),
    )
    op.create_index("ix_discrepancy_answers_revision", "discrepancy_answers", ["revision_id"])


def downgrade() -> None:
    for table in reversed(FROZEN):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        for table in FROZEN:
            op.execute(f"DROP FUNCTION {table}_never_change()")
