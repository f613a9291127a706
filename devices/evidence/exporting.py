"""Writes the evidence of a resource's devices into a folder: messages, proofs, seals, and the sessions that rest on them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy.orm import Session

from devices import queries as devices
from devices.archive.files import Archive
from devices.archive.reading import birth_days, messages_of_day
from devices.discrepancies.comparing import CUT
from devices.discrepancies.queries import known_sessions
from devices.evidence import folder, merkle, queries
from devices.evidence.folder import About, Claimed, Held, Said
from devices.evidence.records import bounds
from devices.placing import BACKLOG_REACH
from devices.sessions import EndReason
from devices.tables import Device
from marketplace.refusals import Invalid, NotFound
from marketplace.slot import Slot

DAY = timedelta(days=1)
LONGEST_DAYS = 400


@dataclass(frozen=True, slots=True)
class Summary:
    """What was written."""

    messages: int
    sessions: int
    seals: int


def export(
    session: Session,
    directory: Path,
    *,
    archive: Archive,
    resource_id: str,
    first: date,
    last: date,
    longest: int = LONGEST_DAYS,
) -> Summary:
    """The days from `first` to `last` (UTC, inclusive), as far as they are sealed, with what lies before and after them that
    their sessions rest on. Raises: NotFound (no device), Invalid (the folder is not empty, no such span, nothing sealed in it),
    ArchiveUnreadable.
    """
    rows = devices.devices_of(session, resource_id)
    if not rows:
        raise NotFound(kind="device")
    sealed = queries.last_seal(session)
    if not 0 <= (last - first).days < longest:
        raise Invalid(field="to", reason="must lie at or after the first day, less than {longest} days later", longest=longest)
    if sealed is None or sealed.day < first:
        raise Invalid(field="from", reason="is not sealed yet: a day is sealed one hour after it is over (UTC)")
    if directory.is_dir() and any(directory.iterdir()):
        raise Invalid(field="out", reason="is a folder with something in it")
    _make(directory)
    span = Slot(bounds(first)[0], bounds(min(last, sealed.day))[1])
    heard_until = bounds(min(last + DAY + _backfill(session, rows), sealed.day))[1]
    about = About(span.start, span.end, heard_until, {row.id: devices.thresholds_of(session, row.id) for row in rows})
    (directory / folder.ABOUT).write_bytes(orjson.dumps(folder.about_row(about), option=orjson.OPT_INDENT_2))
    days = {row.id: _days(session, archive, row, span, heard_until) for row in rows}
    messages = _write(
        directory / folder.MESSAGES,
        (folder.said_row(one) for row in rows for one in _said(session, archive, row, days[row.id])),
    )
    _write(directory / folder.DAYS, map(folder.held_row, _held(session, rows, days)))
    claims = [one for row in rows for one in _claims(session, row, span, about.settled(row.id))]
    signed = map(queries.signed, queries.seals(session))
    return Summary(
        messages,
        _write(directory / folder.SESSIONS, map(folder.claimed_row, claims)),
        _write(directory / folder.SEALS, map(folder.seal_row, signed)),
    )


def _make(directory: Path) -> None:
    """Raises: Invalid."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Invalid(field="out", reason="cannot be made as a folder") from error


def _write(file: Path, rows: Iterable[dict[str, Any]]) -> int:
    count = 0
    with file.open("wb") as handle:
        for row in rows:
            handle.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
            count += 1
    return count


def _days(session: Session, archive: Archive, device: Device, span: Slot, heard_until: datetime) -> list[date]:
    """Whole ones: from where the fold of the first session begins, a day before for what came late, and that of the births."""
    profiles = devices.profiles_of(session, device.id)
    start = devices.stable_point(session, device.id, profiles, before=span.start) - BACKLOG_REACH
    found = birth_days(session, archive, device, before=start)
    day = start.astimezone(UTC).date()
    while bounds(day)[0] < heard_until:
        found.add(day)
        day += DAY
    return sorted(found)


def _said(session: Session, archive: Archive, device: Device, days: Sequence[date]) -> Iterator[Said]:
    """In the order of the leaves, record by record."""
    for day in days:
        stored = messages_of_day(session, archive, device.id, day)
        for row in queries.days_of(session, device.id, days=[day]):
            for leaf in merkle.split(row.leaves):
                if leaf in stored:
                    yield Said(device.id, day, row.number, stored[leaf])


def _held(session: Session, rows: Sequence[Device], days: dict[str, list[date]]) -> Iterator[Held]:
    leaves: dict[int, list[bytes]] = {}
    for device in rows:
        for row in queries.days_of(session, device.id, days=days[device.id]):
            record = queries.as_record(row)
            if row.seal not in leaves:
                leaves[row.seal] = [one.leaf() for one in queries.records_of(session, row.seal)]
            index = leaves[row.seal].index(record.leaf())
            yield Held(record, row.seal, index, merkle.path(leaves[row.seal], index))


def _claims(session: Session, device: Device, span: Slot, settled: datetime) -> Iterator[Claimed]:
    """Sessions that begin in the span, and whose end nothing that was heard later could move, as all messages come to."""
    for device_id, run in known_sessions(session, [device.resource_id], span):
        mine = device_id == device.id and run.starts_at >= span.start and CUT not in run.flags
        if mine and run.ends_at is not None and run.ends_at <= settled:
            yield Claimed(
                device.id,
                run.starts_at,
                run.ends_at,
                run.confirmed_s,
                run.unverified_s,
                run.energy_wh,
                run.end_reason or EndReason.OFF.value,
                run.flags,
            )


def _backfill(session: Session, rows: Sequence[Device]) -> timedelta:
    """So much later what belongs into the span may have come."""
    return max(one.span("backfill") for row in rows for one in devices.profiles_of(session, row.id).every)
