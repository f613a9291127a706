"""One request at a time for one resource: they would take turns at its row anyway, and wait here without a thread.

What the one before was refused on was seen after those behind it had come, so that it may answer them too. And what is noted
of those who were refused is written for a crowd together: each alone would keep all behind it waiting for a commit.
"""

from asyncio import Lock, timeout
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from time import monotonic
from weakref import WeakValueDictionary

from booking.admission import SlotRefused
from booking.queries import Sight
from marketplace.db import BUSY_TIMEOUT_S
from marketplace.refusals import Busy

LONGEST_S = BUSY_TIMEOUT_S
"""As long as a writer waits for the one lock of SQLite."""
MOST_NOTES = 32
"""Refusals that a crowd leaves unwritten: so many a kill may cost the figures."""
Note = tuple[SlotRefused, datetime]
"""Who was refused what, and when."""


class Lane:
    """Of one resource, for as long as somebody is in it."""

    def __init__(self) -> None:
        self.turn = Lock()
        self.inside = 0
        self.seen: Sight | None = None
        self.seen_since = 0.0
        self.notes: list[Note] = []


class Place:
    """In a lane, at its head."""

    def __init__(self, lane: Lane, came_at: float) -> None:
        self._lane, self._came_at, self._begins_at = lane, came_at, monotonic()

    @property
    def is_crowded(self) -> bool:
        """Whether others wait behind."""
        return self._lane.inside > 1

    @property
    def seen(self) -> Sight | None:
        """What was seen of the resource after this request had come."""
        return self._lane.seen if self._came_at < self._lane.seen_since else None

    def show(self, seen: Sight | None) -> None:
        """To those behind, what was seen since this request began; its first sight is still the newest one."""
        if seen is not None and seen is not self._lane.seen:
            self._lane.seen, self._lane.seen_since = seen, self._begins_at

    def leave(self, note: Note) -> None:
        """To be written with those of others."""
        self._lane.notes.append(note)

    def take_notes(self) -> list[Note]:
        """What is to be written now: nothing while others behind may write it, unless it has become much."""
        if self.is_crowded and len(self._lane.notes) < MOST_NOTES:
            return []
        notes, self._lane.notes = self._lane.notes, []
        return notes


class Lanes:
    """Those of one process and its event loop."""

    def __init__(self) -> None:
        self._lanes: WeakValueDictionary[str, Lane] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[Place]:
        """Wait in the order of coming until nobody is before us in the lane of that name. Raises: Busy (not within LONGEST_S)."""
        came_at = monotonic()
        lane = self._lanes.setdefault(name, Lane())
        lane.inside += 1
        try:
            await _had(lane.turn)
            try:
                yield Place(lane, came_at)
            finally:
                lane.turn.release()
        finally:
            lane.inside -= 1


async def _had(turn: Lock) -> None:
    try:
        async with timeout(LONGEST_S):
            await turn.acquire()
    except TimeoutError as error:
        raise Busy from error
