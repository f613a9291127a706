"""The append-only record of who changed what."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from marketplace.ids import new_id
from marketplace.prepared import Append
from marketplace.tables import AuditEntry

ENTRIES = Append(AuditEntry)


def record(
    session: Session,
    *,
    actor_id: str | None,
    action: str,
    object_kind: str,
    object_id: str,
    institution_id: str | None,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
    now: datetime,
) -> None:
    """Note one change with the values before and after; nobody as actor means a timer."""
    row = {
        "id": new_id("aud"),
        "at": now,
        "actor_id": actor_id,
        "institution_id": institution_id,
        "action": action,
        "object_kind": object_kind,
        "object_id": object_id,
        "before": before,
        "after": after,
    }
    ENTRIES.add(session, [row])


def history_of(session: Session, object_kind: str, object_id: str, *, limit: int = 100) -> Sequence[AuditEntry]:
    """Newest first."""
    return session.scalars(
        select(AuditEntry)
        .where(AuditEntry.object_kind == object_kind, AuditEntry.object_id == object_id)
        .order_by(AuditEntry.at.desc(), AuditEntry.id.desc())
        .limit(limit)
    ).all()


def recent(session: Session, *, limit: int = 100) -> Sequence[AuditEntry]:
    """The platform's latest changes, newest first."""
    return session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)).all()


def last_changes(session: Session, object_kind: str, object_ids: Collection[str]) -> dict[str, datetime]:
    """When each of them changed last; those that never did are left out."""
    rows = session.execute(
        select(AuditEntry.object_id, func.max(AuditEntry.at))
        .where(AuditEntry.object_kind == object_kind, AuditEntry.object_id.in_(object_ids))
        .group_by(AuditEntry.object_id)
    )
    return {object_id: at for object_id, at in rows}  # noqa: C416
