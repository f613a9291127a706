"""The way of old messages into the archive, in small steps: a file is whole on disk before anything leaves the database."""

from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from itertools import groupby
from typing import Any, Protocol

import structlog
from sqlalchemy.orm import Session

from devices.archive import actions, queries
from devices.archive.actions import Moved
from devices.archive.files import Archive, ArchiveUnreadable, Draft, Opened, Whole
from devices.codecs import sparkplug

log = structlog.get_logger()
MOST_DEVICES, MOST_MESSAGES = 2000, 2_000_000
"""Of one file; what is more of a day goes into another."""
MOST_UNMOVED = 20_000


class Step(Protocol):
    """Something to be done in a transaction of its own, which lasts milliseconds."""

    def __call__(self, session: Session, *, now: datetime) -> Any: ...


Steps = Generator[Step, Any, Any]
"""Each step is carried out and committed, and what it gave is sent back, before the next one is asked for.

It may end anywhere: what is missing then is done the next time, and nothing is lost or there twice.
"""


@dataclass(frozen=True, slots=True)
class Archiving:
    """Where old messages go, and for how long they stay in the database."""

    archive: Archive
    keep: timedelta

    def steps(self) -> Steps:
        """Everything older than `keep` that can be archived, a day at a time, oldest first."""
        return _steps(self.archive, self.keep)


def _steps(archive: Archive, keep: timedelta) -> Steps:
    with archive.held() as ours:
        newest = yield _asked(queries.newest_file)
        if not ours or not _is_here(archive, newest):
            return
        waiting = yield _asked(partial(queries.unmoved, limit=MOST_UNMOVED))
        for name, rows in groupby(waiting, key=lambda row: str(row.file)):
            yield from _move(archive, name, [(row.device_id, row.day) for row in rows])
        needed = set[str]()
        while due := (yield partial(queries.due, keep=keep, besides=needed, limit=MOST_DEVICES)):
            day, device_ids = due
            if not (yield _asked(partial(queries.seals_hold, day=day))):
                log.error("archive_stops", day=str(day), reason="the seals of this day are not those of its records")
                return
            file = yield from _write(archive, day, device_ids, needed)
            if file is not None:
                yield from _move(archive, file.name, [(one, day) for one in file.messages])


def _asked(question: Callable[[Session], Any]) -> Step:
    def step(session: Session, *, now: datetime) -> Any:
        return question(session)

    return step


def _is_here(archive: Archive, newest: Any) -> bool:
    """An archive lies in one place: who does not have its newest file is not the one to add to it."""
    if newest is None or archive.holds(newest.name, newest.size):
        return True
    log.warning("archive_elsewhere", folder=str(archive.folder), file=newest.name)
    return False


def _write(archive: Archive, day: date, device_ids: Iterable[str], needed: set[str]) -> Generator[Step, Any, Whole | None]:
    """A file with the day of those of the devices that no fold rests on; None where there is none of them."""
    born = set[str]()
    with closing(Draft(archive, day)) as draft:
        for device_id in device_ids:
            heard = yield partial(actions.read_out, device_id=device_id, day=day)
            if heard is None:
                needed.add(device_id)
            elif said := actions.in_order(device_id, heard):
                draft.add(device_id, said)
                born |= {device_id for _, one in said if sparkplug.kind(one.topic).endswith("BIRTH")}
            else:
                log.error(
                    "day_not_archived", device=device_id, day=str(day), reason="its messages are not those that were sealed"
                )
                yield partial(actions.pass_by, device_id=device_id, day=day)
            if sum(draft.messages.values()) >= MOST_MESSAGES:
                break
        if not draft.messages:
            return None
        file = draft.finish()
    yield partial(actions.record, file=file, born=frozenset(born))
    return file


def _move(archive: Archive, file: str, days: Iterable[tuple[str, date]]) -> Steps:
    """Read a file again, and take out of the database what it proves to have."""
    try:
        with closing(Opened(archive, file)) as opened:
            for device_id, day in days:
                found = actions.proven(device_id, opened.said(device_id))
                moved = Moved.PARTLY
                while moved is Moved.PARTLY:
                    moved = yield partial(actions.move_out, device_id=device_id, day=day, found=found)
                if moved is Moved.DIFFERENT:
                    log.error(
                        "day_not_archived", device=device_id, day=str(day), file=file, reason="the file proves another root"
                    )
    except ArchiveUnreadable as error:
        log.error("archive_unreadable", **error.values)
