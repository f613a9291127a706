"""Whose a token was the last time: a guess that saves a question, to be confirmed with the next trip to the database."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from marketplace.people import queries as people
from marketplace.people.secrets import digest
from marketplace.permissions import Actor
from marketplace.prepared import Question

MOST = 10_000
"""Tokens that are remembered; with one more all are forgotten."""
BEARER = "Bearer "


class SomebodyElse(Exception):
    """Who was known by a token is not whose it is now: it was revoked, or a role was given or taken."""


class Known:
    """Those of one process. Nothing is granted by it: what is done for the actor waits until the question is answered."""

    def __init__(self) -> None:
        self._actors: dict[str, Actor] = {}

    def guess(self, header: str, *, now: datetime) -> tuple[Actor, Question[None]] | None:
        """By an Authorization header. The question's understanding raises SomebodyElse where the guess is wrong."""
        asked = people.by_token(header.removeprefix(BEARER).strip(), now=now)
        key = asked.values["digest"]
        actor = self._actors.get(key)
        if actor is None:
            return None

        def understand(session: Session, rows: Sequence[Sequence[Any]]) -> None:
            if asked.understand(session, rows) != actor:
                self._actors.pop(key, None)
                raise SomebodyElse

        return actor, Question(asked.read, asked.values, understand)

    def remember(self, header: str, actor: Actor) -> None:
        """Of a token alone; a browser's session ends by itself."""
        if header.startswith(BEARER):
            if len(self._actors) >= MOST:
                self._actors.clear()
            self._actors[digest(header.removeprefix(BEARER).strip())] = actor
