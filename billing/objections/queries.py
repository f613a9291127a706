"""Reads of objections."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing.objections.tables import Objection
from billing.tables import Statement


def objections_to(session: Session, statement_id: str) -> Sequence[Objection]:
    """In the order of the lines."""
    found = select(Objection).where(Objection.statement_id == statement_id)
    return session.scalars(found.order_by(Objection.line).execution_options(populate_existing=True)).all()


def answered_before(session: Session, statement: Statement) -> Sequence[Objection]:
    """Those to the version before it, which the institution has answered with this one."""
    before = select(Statement.id).where(Statement.booking_id == statement.booking_id, Statement.number == statement.number - 1)
    found = select(Objection).where(Objection.statement_id == before.scalar_subquery(), Objection.answered_at.is_not(None))
    return session.scalars(found.order_by(Objection.line)).all()
