"""Frozen revisions of evaluations."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
FROZEN = ("evaluation_revisions", "frozen_facts", "published_figures", "published_scores", "manual_entries")
SQLITE_FREEZE = """
CREATE TRIGGER {table}_frozen_{verb} BEFORE {verb} ON {table}
BEGIN
  SELECT RAISE(ABORT, '{table}_frozen');
END
"""
POSTGRES_FREEZE = """
CREATE OR REPLACE FUNCTION {table}_frozen() RETURNS trigger AS $$
BEGIN
  RAISE EXCEPTION '{table}_frozen';
END $$ LANGUAGE plpgsql;
CREATE TRIGGER {table}_frozen BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_frozen()
"""


def upgrade() -> None:
    op.create_table(
        "evaluation_revisions",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("institution_id", sa.String(length=40), nullable=False),
        sa.Column("scheme", sa.String(length=80), nullable=False),
        sa.Column("period", sa.String(length=80), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("period_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("period_to", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cut_off", sa.DateTime(timezone=True), nullable=False),
        sa.Column("code_version", sa.String(length=80), nullable=False),
        sa.Column("inputs_hash", sa.String(length=80), nullable=False),
        sa.Column("total", sa.String(length=80), nullable=False),
        sa.Column("grade", sa.String(length=80), nullable=False),
        sa.Column("cause", sa.String(length=1000), nullable=False),
        sa.Column("difference", sa.JSON(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=40), nullable=True),
        sa.CheckConstraint("length(cause) <= 1000", name=op.f("ck_evaluation_revisions_cause_length")),
        sa.CheckConstraint("length(code_version) <= 80", name=op.f("ck_evaluation_revisions_code_version_length")),
        sa.CheckConstraint("length(grade) <= 80", name=op.f("ck_evaluation_revisions_grade_length")),
        sa.CheckConstraint("length(inputs_hash) <= 80", name=op.f("ck_evaluation_revisions_inputs_hash_length")),
        sa.CheckConstraint("length(period) <= 80", name=op.f("ck_evaluation_revisions_period_length")),
        sa.CheckConstraint("length(scheme) <= 80", name=op.f("ck_evaluation_revisions_scheme_length")),
        sa.CheckConstraint("length(total) <= 80", name=op.f("ck_evaluation_revisions_total_length")),
        sa.CheckConstraint("number >= 1", name=op.f("ck_evaluation_revisions_number_positive")),
        sa.ForeignKeyConstraint(["created_by"], ["people.id"], name=op.f("fk_evaluation_revisions_created_by")),
        sa.ForeignKeyConstraint(["institution_id"], ["institutions.id"], name=op.f("fk_evaluation_revisions_institution_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluation_revisions")),
        sa.UniqueConstraint(
            "institution_id",
            "period",
            "scheme",
            "number",
            name=op.f("uq_evaluation_revisions_institution_id_period_scheme_number"),
        ),
    )
    op.create_index("ix_evaluation_revisions_period", "evaluation_revisions", ["period", "scheme"], unique=False)
    op.create_table(
        "manual_entries",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("institution_id", sa.String(length=40), nullable=False),
        sa.Column("scheme", sa.String(length=80), nullable=False),
        sa.Column("period", sa.String(length=80), nullable=False),
        sa.Column("indicator", sa.String(length=80), nullable=False),
        sa.Column("value", sa.String(length=80), nullable=False),
        sa.Column("note", sa.String(length=1000), nullable=False),
        sa.Column("evidence", sa.String(length=1000), nullable=False),
        sa.Column("entered_by", sa.String(length=40), nullable=False),
        sa.Column("entered_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("length(evidence) <= 1000", name=op.f("ck_manual_entries_evidence_length")),
        sa.CheckConstraint("length(indicator) <= 80", name=op.f("ck_manual_entries_indicator_length")),
        sa.CheckConstraint("length(note) <= 1000", name=op.f("ck_manual_entries_note_length")),
        sa.CheckConstraint("length(period) <= 80", name=op.f("ck_manual_entries_period_length")),
        sa.CheckConstraint("length(scheme) <= 80", name=op.f("ck_manual_entries_scheme_length")),
        sa.CheckConstraint("length(value) <= 80", name=op.f("ck_manual_entries_value_length")),
        sa.ForeignKeyConstraint(["entered_by"], ["people.id"], name=op.f("fk_manual_entries_entered_by")),
        sa.ForeignKeyConstraint(["institution_id"], ["institutions.id"], name=op.f("fk_manual_entries_institution_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_manual_entries")),
    )
    op.create_index("ix_manual_entries_period", "manual_entries", ["institution_id", "period", "scheme"], unique=False)
    op.create_table(
        "frozen_facts",
        sa.Column("revision_id", sa.String(length=40), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["revision_id"], ["evaluation_revisions.id"], name=op.f("fk_frozen_facts_revision_id")),
        sa.PrimaryKeyConstraint("revision_id", name=op.f("pk_frozen_facts")),
    )
    op.create_table(
        "published_figures",
        sa.Column("revision_id", sa.String(length=40), nullable=False),
        sa.Column("scope", sa.String(length=80), nullable=False),
        sa.Column("object_id", sa.String(length=40), nullable=False),
        sa.Column("code", sa.String(length=80), nullable=False),
        sa.Column("value", sa.String(length=80), nullable=True),
        sa.CheckConstraint("length(code) <= 80", name=op.f("ck_published_figures_code_length")),
        sa.CheckConstraint("length(scope) <= 80", name=op.f("ck_published_figures_scope_length")),
        sa.CheckConstraint("length(value) <= 80", name=op.f("ck_published_figures_value_length")),
        sa.ForeignKeyConstraint(["revision_id"], ["evaluation_revisions.id"], name=op.f("fk_published_figures_revision_id")),
        sa.PrimaryKeyConstraint("revision_id", "scope", "object_id", "code", name=op.f("pk_published_figures")),
    )
    op.create_table(
        "published_scores",
        sa.Column("revision_id", sa.String(length=40), nullable=False),
        sa.Column("indicator", sa.String(length=80), nullable=False),
        sa.Column("points", sa.String(length=80), nullable=False),
        sa.CheckConstraint("length(indicator) <= 80", name=op.f("ck_published_scores_indicator_length")),
        sa.CheckConstraint("length(points) <= 80", name=op.f("ck_published_scores_points_length")),
        sa.ForeignKeyConstraint(["revision_id"], ["evaluation_revisions.id"], name=op.f("fk_published_scores_revision_id")),
        sa.PrimaryKeyConstraint("revision_id", "indicator", name=op.f("pk_published_scores")),
    )
    for table in FROZEN:
        if op.get_bind().dialect.name == "sqlite":
            for verb in ("UPDATE", "DELETE"):
                op.execute(SQLITE_FREEZE.format(table=table, verb=verb))
        else:
            op.execute(POSTGRES_FREEZE.format(table=table))
