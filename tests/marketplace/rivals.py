"""Two workers that want the same thing at the same moment."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Generic, TypeVar

from sqlalchemy.orm import Session, sessionmaker

T = TypeVar("T")
LOOK_S = 0.15
"""How long the first one's transaction stays open beside the second's; below PostgreSQL's wait for a lock."""


@dataclass(frozen=True)
class Race(Generic[T]):
    """What each got, and whether the second had to wait for the first."""

    first: T
    second: T
    waited: bool


def race(
    sessions: sessionmaker[Session], act: Callable[[Session], T], end: Callable[[Session], None] = Session.commit
) -> Race[T]:
    """`act` in a transaction that is still open while another worker does the same; then the first one's ends by `end`."""
    with ThreadPoolExecutor(1) as pool, sessions() as session:
        first = act(session)
        second = pool.submit(_alone, sessions, act)
        waited = bool(wait([second], timeout=LOOK_S).not_done)
        end(session)
        return Race(first, second.result(), waited)


def _alone(sessions: sessionmaker[Session], act: Callable[[Session], T]) -> T:
    with sessions() as session:
        found = act(session)
        session.commit()
        return found
