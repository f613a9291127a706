"""Messages of a day wherever they lie: in the database, or in a file of the archive."""

from contextlib import closing
from datetime import UTC, date, datetime, timedelta

from sqlalchemy.orm import Session

from devices import queries as devices
from devices.archive import queries
from devices.archive.files import Archive, Opened
from devices.codecs import sparkplug
from devices.evidence.records import bounds, message_leaf
from devices.readings import Envelope
from devices.tables import Device
from marketplace.slot import Slot

MOST_BIRTH_DAYS = 400
"""That are looked through for the birth of a node: one that was not born for so long is unknown."""


def messages_of_day(session: Session, archive: Archive, device_id: str, day: date) -> dict[bytes, Envelope]:
    """By their leaf. Raises: ArchiveUnreadable (they are archived, and the file is not here or not what was written)."""
    stored = {message_leaf(device_id, one): one for one in devices.messages_within(session, device_id, Slot(*bounds(day)))}
    row = queries.find_day(session, device_id, day)
    if row is None or (row.moved_at is None and len(stored) >= row.messages):
        return stored
    return {message_leaf(device_id, one): one for one in _archived(archive, row.file, device_id)} | stored


def _archived(archive: Archive, file: str, device_id: str) -> list[Envelope]:
    with closing(Opened(archive, file)) as opened:
        return [one for _, one in opened.said(device_id)]


def birth_days(session: Session, archive: Archive, device: Device, *, before: datetime) -> set[date]:
    """On which a node was born last before that time, and its devices since. Raises: ArchiveUnreadable."""
    births = devices.births_of(session, device.id, before=before)
    if not births and device.archived_until is not None and before < device.archived_until:
        births = _archived_births(session, archive, device, before)
    born = max((one.received_at for one in births if sparkplug.kind(one.topic) == "NBIRTH"), default=before)
    return {one.received_at.astimezone(UTC).date() for one in births if one.received_at >= born}


def _archived_births(session: Session, archive: Archive, device: Device, before: datetime) -> list[Envelope]:
    found: list[Envelope] = []
    until = (before - timedelta(microseconds=1)).astimezone(UTC).date()
    for row in queries.days_with_births(session, device.id, until=until, limit=MOST_BIRTH_DAYS):
        said = [one for one in _archived(archive, row.file, device.id) if one.received_at < before]
        found += [one for one in said if sparkplug.kind(one.topic).endswith("BIRTH")]
        if any(sparkplug.kind(one.topic) == "NBIRTH" for one in found):
            break
    return found
