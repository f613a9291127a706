"""Attestations: what both sides sign of a booking where telemetry was silent, their documents, and its share of confirmed use.

Revision ID: 0033
Revises: 0032
"""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

CHOICES = {
    "documentkind": ("pdf", "png", "jpeg"),
    "side": ("provider", "user"),
    "attestationstate": ("open", "signed", "declined", "withdrawn"),
}
NEVER = """
CREATE TRIGGER attestation_documents_never_{verb} BEFORE {event} ON attestation_documents
BEGIN
  SELECT RAISE(ABORT, 'rows of attestation_documents never change');
END
"""
NEVER_CHANGE = """
CREATE OR REPLACE FUNCTION attestation_documents_never_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'rows of attestation_documents never change' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER attestation_documents_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON attestation_documents
FOR EACH STATEMENT EXECUTE FUNCTION attestation_documents_never_change()
"""


def upgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    op.add_column("confirmed_uses", sa.Column("attested_s", sa.BigInteger(), nullable=False, server_default="0"))
    _make_documents(sqlite)
    _make_attestations(sqlite)


def _make_documents(sqlite: bool) -> None:
    op.create_table(
        "attestation_documents",
        sa.Column("digest", sa.String(80), nullable=False),
        sa.Column("kind", _choice("documentkind"), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_attestation_documents"),
        _check("attestation_documents", "documentkind", "kind", sqlite),
        *_lengths("attestation_documents", {"digest": 80}, sqlite),
    )
    if sqlite:
        for verb in ("update", "delete"):
            op.execute(NEVER.format(verb=verb, event=verb.upper()))
    else:
        op.execute(NEVER_CHANGE)


def _make_attestations(sqlite: bool) -> None:
    op.create_table(
        "attestations",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("booking_id", sa.String(40), nullable=False),
        sa.Column("resource_id", sa.String(40), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("stretches", sa.JSON(), nullable=False),
        sa.Column("note", sa.String(1000)),
        sa.Column("document_digest", sa.String(80), nullable=False),
        sa.Column("side", _choice("side"), nullable=False),
        sa.Column("state", _choice("attestationstate"), nullable=False),
        sa.Column("stated_by", sa.String(40), nullable=False),
        sa.Column("stated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_by", sa.String(40)),
        sa.Column("answered_at", sa.DateTime(timezone=True)),
        sa.Column("reason", sa.String(1000)),
        sa.PrimaryKeyConstraint("id", name="pk_attestations"),
        _foreign("booking_id", "bookings.id"),
        _foreign("resource_id", "resources.id"),
        _foreign("document_digest", "attestation_documents.digest"),
        _foreign("stated_by", "people.id"),
        _foreign("answered_by", "people.id"),
        sa.UniqueConstraint("booking_id", "number", name="uq_attestations_booking_id_number"),
        sa.CheckConstraint("(state = 'open') = (answered_at IS NULL)", name=op.f("ck_attestations_answered_once")),
        sa.CheckConstraint("state <> 'signed' OR answered_by <> stated_by", name=op.f("ck_attestations_two_people")),
        _check("attestations", "side", "side", sqlite),
        _check("attestations", "attestationstate", "state", sqlite),
        *_lengths("attestations", {"note": 1000, "document_digest": 80, "reason": 1000}, sqlite),
    )
    still = sa.text("state = 'open'")
    op.create_index(
        "ix_attestations_open", "attestations", ["booking_id"], unique=True, postgresql_where=still, sqlite_where=still
    )
    op.create_index("ix_attestations_resource", "attestations", ["resource_id"])
    op.create_index("ix_attestations_document", "attestations", ["document_digest"])


def _choice(name: str) -> sa.Enum:
    return sa.Enum(*CHOICES[name], name=name, native_enum=False, create_constraint=False, length=40)


def _check(table: str, name: str, column: str, sqlite: bool) -> sa.CheckConstraint:
    listed, packed = ", ".join(f"'{one}'" for one in CHOICES[name]), ",".join(CHOICES[name])
    known = f"{column} IN ({listed})" if sqlite else f"{column} = ANY ('{{{packed}}}')"
    return sa.CheckConstraint(known, name=op.f(f"ck_{table}_{name}"))


def _lengths(table: str, columns: dict[str, int], sqlite: bool) -> list[sa.CheckConstraint]:
    if not sqlite:
        return []
    return [
        sa.CheckConstraint(f"length({column}) <= {most}", name=op.f(f"ck_{table}_{column}_length"))
        for column, most in columns.items()
    ]


def _foreign(column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [target], name=f"fk_attestations_{column}")


def downgrade() -> None:
    op.drop_table("attestations")
    op.drop_table("attestation_documents")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION attestation_documents_never_change()")
    op.drop_column("confirmed_uses", "attested_s")
