"""Reads of outages by themselves, and of operators' absences, which are outages of their time."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from booking.tables import Outage
from marketplace.refusals import NotFound


def get_outage(session: Session, outage_id: str) -> Outage:
    """Of a machine, or an operator's absence. Raises: NotFound."""
    row = session.get(Outage, outage_id)
    if row is None:
        raise NotFound(kind="outage")
    return row


def outages_to_come(session: Session, resource_id: str, *, now: datetime, limit: int, offset: int = 0) -> Sequence[Outage]:
    """Those that are on and those to come, in order."""
    asked = select(Outage).where(Outage.resource_id == resource_id, Outage.ends_at > now)
    return session.scalars(asked.order_by(Outage.starts_at, Outage.id).limit(limit).offset(offset)).all()
