"""What must hold of the archive: its files are here as they were written, and what they hold proves the sealed roots."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from random import Random
from time import monotonic

from sqlalchemy.orm import Session

from devices.archive import queries
from devices.archive.actions import proven
from devices.archive.files import Archive, ArchiveUnreadable, Opened, digest_of
from devices.archive.tables import ArchivedDay, ArchiveFile
from devices.evidence import queries as evidence

DIGESTS_S, ROOTS_S = 20.0, 20.0
"""So long files are read for their digests, and days of devices for their roots, in another order each time."""
DAYS_OF_A_FILE = 20


def violations(session: Session, archive: Archive) -> Iterator[str]:
    """A sentence each, with the file's name."""
    here: list[ArchiveFile] = []
    for row in queries.files(session):
        if archive.holds(row.name, row.size):
            here.append(row)
        elif archive.path(row.name).is_file():
            yield f"the archive's file {row.name} is not as long as it was written"
        else:
            yield f"the archive's file {row.name} of {row.day} is not in {archive.folder}"
    chance = Random()
    chance.shuffle(here)
    yield from _digests(archive, here)
    yield from _roots(session, archive, here, chance)


def _digests(archive: Archive, rows: Sequence[ArchiveFile]) -> Iterator[str]:
    until = monotonic() + DIGESTS_S
    for row in rows:
        if digest_of(archive.path(row.name)) != row.digest:
            yield f"the archive's file {row.name} of {row.day} was changed"
        if monotonic() > until:
            return


def _roots(session: Session, archive: Archive, rows: Sequence[ArchiveFile], chance: Random) -> Iterator[str]:
    until = monotonic() + ROOTS_S
    for row in rows:
        days = queries.days_in(session, row.name)
        try:
            with closing(Opened(archive, row.name)) as opened:
                for day in chance.sample(days, min(DAYS_OF_A_FILE, len(days))):
                    yield from _day(session, opened, day)
        except ArchiveUnreadable as error:
            yield f"the archive's file {row.name} {error.values['reason']}"
        if monotonic() > until:
            return


def _day(session: Session, opened: Opened, day: ArchivedDay) -> Iterator[str]:
    sealed = {one.number: one.root for one in evidence.days_of(session, day.device_id, days=[day.day]) if one.count}
    if proven(day.device_id, opened.said(day.device_id)).roots != sealed:
        yield f"the archive's file {day.file} does not have what device {day.device_id} said on {day.day}"
