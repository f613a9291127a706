"""A form that is sent twice does its work once."""

from collections.abc import Callable
from datetime import datetime
from hashlib import sha256

from sqlalchemy.orm import Session

from marketplace import idempotency
from web.pages.drawing import Pen


def once(pen: Pen, db: Session, path: str, key: str, content: str, make: Callable[[], str], now: datetime) -> str:
    """The id of what `make` makes, or of what it made when the form of this key came before; without a key it always makes.

    Raises: what `make` raises, and what idempotency.begin does of a key that came with other content.
    """
    if not key:
        return make()
    names = {"principal": pen.actor.known_id, "method": "POST", "path": path, "key": key}
    saved = idempotency.begin(db, **names, request_hash=sha256(content.encode()).hexdigest(), now=now)
    if saved:
        return saved.body.decode()
    made = make()
    idempotency.remember(db, **names, status=201, body=made.encode())
    return made
