"""What the evaluation stores: frozen revisions with their figures and points, and the values that people enter.

Rows are facts: they are added, never changed. A correction is a further revision or a further entry.
"""

from datetime import datetime

from sqlalchemy import DDL, CheckConstraint, ForeignKey, Index, LargeBinary, Table, UniqueConstraint, event
from sqlalchemy.orm import Mapped, mapped_column

from marketplace.db import Base, Code, Document, Id, Line
from marketplace.tables import Institution, Person


class Revision(Base):
    """One frozen evaluation of an institution for a period under a scheme version; number 1 is the period's close."""

    __tablename__ = "evaluation_revisions"

    id: Mapped[Id] = mapped_column(primary_key=True)
    institution_id: Mapped[Id] = mapped_column(ForeignKey(Institution.id))
    scheme: Mapped[Code]
    """`ID-VERSION` of the scheme."""
    period: Mapped[Code]
    """As asked for: 2026, 2026-03, or 2026-03-01/2026-03-15."""
    number: Mapped[int]
    period_from: Mapped[datetime]
    period_to: Mapped[datetime]
    cut_off: Mapped[datetime]
    code_version: Mapped[Code]
    inputs_hash: Mapped[Code]
    """SHA-256 over the facts as a pack writes them, and over the scheme's text."""
    total: Mapped[Code]
    grade: Mapped[Code]
    cause: Mapped[Line]
    difference: Mapped[Document]
    """{"changes": [{"scope", "id", "code", "before", "after"}], "more": 0, "discrepancies": [ids]}: against the revision before,
    and what late messages had changed since; read whole."""
    document: Mapped[Document]
    """The evaluation as `evaluate --pack --json` prints it."""
    created_at: Mapped[datetime]
    created_by: Mapped[Id | None] = mapped_column(ForeignKey(Person.id))

    __table_args__ = (
        UniqueConstraint("institution_id", "period", "scheme", "number"),
        CheckConstraint("number >= 1", name="number_positive"),
        Index("ix_evaluation_revisions_period", "period", "scheme"),  # the ranking of a period
    )


class FrozenFacts(Base):
    """The facts of a revision as they were at its cut-off, so that its pack can be written again at any time."""

    __tablename__ = "frozen_facts"

    revision_id: Mapped[Id] = mapped_column(ForeignKey("evaluation_revisions.id"), primary_key=True)
    content: Mapped[bytes] = mapped_column(LargeBinary)
    """gzip of the rows as a pack writes them, {table: [[cell, ...], ...]} in JSON."""


class PublishedFigure(Base):
    """One figure of a revision, of a unit or of the institution, as text: what reports and exports quote."""

    __tablename__ = "published_figures"

    revision_id: Mapped[Id] = mapped_column(ForeignKey("evaluation_revisions.id"), primary_key=True)
    scope: Mapped[Code] = mapped_column(primary_key=True)
    object_id: Mapped[Id] = mapped_column(primary_key=True)
    code: Mapped[Code] = mapped_column(primary_key=True)
    value: Mapped[Code | None]


class PublishedScore(Base):
    """The points of one indicator of a revision."""

    __tablename__ = "published_scores"

    revision_id: Mapped[Id] = mapped_column(ForeignKey("evaluation_revisions.id"), primary_key=True)
    indicator: Mapped[Code] = mapped_column(primary_key=True)
    points: Mapped[Code]


class ManualEntry(Base):
    """A value only a person can give, with note and evidence; the newest of an indicator counts."""

    __tablename__ = "manual_entries"

    id: Mapped[Id] = mapped_column(primary_key=True)
    institution_id: Mapped[Id] = mapped_column(ForeignKey(Institution.id))
    scheme: Mapped[Code]
    period: Mapped[Code]
    indicator: Mapped[Code]
    value: Mapped[Code]
    """Decimal text, read exactly."""
    note: Mapped[Line]
    evidence: Mapped[Line]
    entered_by: Mapped[Id] = mapped_column(ForeignKey(Person.id))
    entered_at: Mapped[datetime]

    __table_args__ = (Index("ix_manual_entries_period", "institution_id", "period", "scheme"),)  # the values of one evaluation


FROZEN = (Revision, FrozenFacts, PublishedFigure, PublishedScore, ManualEntry)

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


def _freeze(table: Table) -> None:
    for verb in ("UPDATE", "DELETE"):
        event.listen(
            table,
            "after_create",
            DDL(SQLITE_FREEZE.format(table=table.name, verb=verb)).execute_if(dialect="sqlite"),  # type: ignore[no-untyped-call]
        )
    event.listen(
        table,
        "after_create",
        DDL(POSTGRES_FREEZE.format(table=table.name)).execute_if(dialect="postgresql"),  # type: ignore[no-untyped-call]
    )


for frozen in FROZEN:
    if isinstance(frozen.__table__, Table):
        _freeze(frozen.__table__)
