"""One final answer per (principal, method, path, key), kept in the transaction of its effect."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from marketplace.refusals import Refusal
from marketplace.tables import IdempotencyKey
from marketplace.upsert import insert_new

KEEP = timedelta(days=3)


class KeyReused(Refusal):
    """The key was used before with another body."""

    code = "idempotency_key_reused"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes


def begin(
    session: Session, *, principal: str, method: str, path: str, key: str, request_hash: str, now: datetime
) -> Answer | None:
    """The answer given before, or None when this request is the first.

    A twin in flight makes this wait for its transaction on both databases. Raises: KeyReused.
    """
    names = {"principal": principal, "method": method, "path": path, "key": key}
    row = {**names, "request_hash": request_hash, "status": 0, "body": b"", "created_at": now}
    if insert_new(session, IdempotencyKey, [row], key="key"):
        return None
    saved = session.get_one(IdempotencyKey, (principal, method, path, key))
    if saved.request_hash != request_hash:
        raise KeyReused(key=key)
    return Answer(saved.status, saved.body)


def remember(session: Session, *, principal: str, method: str, path: str, key: str, status: int, body: bytes) -> None:
    session.execute(
        update(IdempotencyKey)
        .where(
            IdempotencyKey.principal == principal,
            IdempotencyKey.method == method,
            IdempotencyKey.path == path,
            IdempotencyKey.key == key,
        )
        .values(status=status, body=body)
    )


def purge(session: Session, *, now: datetime) -> None:
    """Forget keys older than three days."""
    session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < now - KEEP))
