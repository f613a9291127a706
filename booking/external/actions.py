"""Writes of external calendars. What they call busy is claimed beside bookings, which it never displaces."""

from collections.abc import Collection, Container, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import delete, insert, or_, select
from sqlalchemy.orm import Session

from booking.external import queries, telling
from booking.external.fetching import Fetched, NotFetched, Seen, read_address
from booking.external.lines import Unreadable
from booking.external.reading import Read, as_document, read
from booking.external.tables import ExternalBusy, ExternalCalendar
from booking.outages.actions import Closed, close, close_what_is_left
from booking.places import Place, get_place, lock_place
from booking.tables import Claim, ClaimKind
from marketplace import audit
from marketplace.ids import new_id
from marketplace.people.text import clean
from marketplace.refusals import Invalid
from marketplace.slot import Slot

MOST_CALENDARS = 10
"""Of one resource."""
MOST_CLAIMS = 50_000
"""Busy stretches times units."""
BEHIND, AHEAD = timedelta(days=1), timedelta(days=740)
"""What is read at least: a little of the past, and more than two years; of what can be booked further ahead, all of that."""
BEYOND = timedelta(days=10)
"""Of the horizon: read before the days get there, and clear of what touches its last."""
REREAD = timedelta(hours=24)
"""A file is read again as days go by: its rules reach further."""
LEASE = timedelta(minutes=2)
LONGEST_WAIT = timedelta(hours=6)
AT_ONCE = 500
UNSEEN = {"synchronize_session": False}
"""Nobody looks at the rows again, so they are not sought among those that the session knows."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a calendar comes from: an address, or a file that was handed in."""

    url: str | None = None
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """A calendar that is to be read, leased to this process: by its address, or what was handed in."""

    calendar_id: str
    url: str | None
    body: bytes | None
    seen: Seen
    zone: ZoneInfo
    ahead: timedelta
    ours: Container[str] = ()
    """What the resource's own feed tells."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of reading one: what it says now, and the file where it is a new one; or why nothing could be read."""

    read: Read | None = None
    body: bytes | None = None
    seen: Seen | None = None
    error: str | None = None
    status: int | None = None


def connect(session: Session, *, resource_id: str, name: str, source: Source, actor_id: str, now: datetime) -> ExternalCalendar:
    """A file is read at once, an address by the worker as soon as it can. Raises: NotFound, Invalid, Unreadable."""
    place = lock_place(session, resource_id)
    if len(queries.calendars_of(session, resource_id)) >= MOST_CALENDARS:
        raise Invalid(field="calendars", reason="more than {most} calendars of one machine", most=MOST_CALENDARS)
    if (source.url is None) == (source.body is None):
        raise Invalid(field="url", reason="needs either an address or a file")
    row = ExternalCalendar(
        id=new_id("cal"),
        resource_id=resource_id,
        institution_id=place.institution_id,
        name=clean(name, field="name"),
        url=read_address(source.url) if source.url is not None else None,
        body=source.body,
        created_at=now,
        created_by=actor_id,
        run_at=now,
        entries=0,
        notes=[],
        failures=0,
    )
    session.add(row)
    session.flush()
    _audit(session, row, "connect_calendar", actor_id, {"name": row.name, "kind": "address" if row.url else "file"}, now)
    if source.body is not None:
        _apply(
            session,
            place,
            row,
            read(source.body, zone=place.zone, within=window(ahead(place), now), ours=_told(session, place.resource_id, now)),
            now,
        )
        row.run_at = now + REREAD
        session.flush()
    return row


def replace_file(session: Session, *, calendar_id: str, body: bytes, actor_id: str, now: datetime) -> ExternalCalendar:
    """A newer file of the same calendar. Raises: NotFound, Invalid (it is read by its address), Unreadable."""
    place, row = _locked(session, calendar_id)
    if row.url is not None:
        raise Invalid(field="ics", reason="it is read by its address")
    found = read(body, zone=place.zone, within=window(ahead(place), now), ours=_told(session, place.resource_id, now))
    row.body = body
    _audit(session, row, "replace_calendar_file", actor_id, {"name": row.name, "entries": found.entries}, now)
    _apply(session, place, row, found, now)
    row.run_at = now + REREAD
    session.flush()
    return row


def read_soon(session: Session, *, calendar_id: str, now: datetime) -> ExternalCalendar:
    """The worker's next turn is now. Raises: NotFound."""
    _, row = _locked(session, calendar_id)
    row.run_at = now
    session.flush()
    return row


def disconnect(session: Session, *, calendar_id: str, actor_id: str, now: datetime) -> None:
    """Forget the calendar and free what it called busy. Raises: NotFound."""
    _, row = _locked(session, calendar_id)
    _free(session, row, queries.busy_of_calendar(session, row.id))
    _audit(session, row, "disconnect_calendar", actor_id, None, now)
    session.delete(row)
    session.flush()


def claim_due(session: Session, *, now: datetime) -> Due | None:
    """Lease the calendar that has waited longest; a lease that lies further ahead than any lease is long is void."""
    free = or_(
        ExternalCalendar.lease_until.is_(None),
        ExternalCalendar.lease_until <= now,
        ExternalCalendar.lease_until > now + LEASE,
    )
    due = select(ExternalCalendar).where(ExternalCalendar.run_at <= now, free).order_by(ExternalCalendar.run_at).limit(1)
    row = session.scalars(due.with_for_update(skip_locked=True)).one_or_none()
    if row is None:
        return None
    row.lease_until = now + LEASE
    session.flush()
    place, seen = get_place(session, row.resource_id), Seen(row.etag, row.modified) if row.body else Seen()
    return Due(row.id, row.url, row.body, seen, place.zone, ahead(place), _told(session, row.resource_id, now))


def understand(due: Due, fetched: Fetched | None, *, now: datetime) -> Outcome:
    """What the file says now; outside of any transaction, as it may take seconds."""
    body = fetched.body if fetched and fetched.body is not None else due.body
    try:
        if body is None:
            return Outcome(error="unreachable")
        new = fetched if fetched and fetched.body is not None and fetched.body != due.body else None
        seen = fetched.seen if fetched else None
        return Outcome(read(body, zone=due.zone, within=window(due.ahead, now), ours=due.ours), new.body if new else None, seen)
    except Unreadable as error:
        return Outcome(error=str(error.values["reason"]))


def failed(error: NotFetched) -> Outcome:
    return Outcome(error=str(error.values["reason"]), status=error.values.get("status"))


def record(session: Session, *, calendar_id: str, outcome: Outcome, every: timedelta, now: datetime) -> None:
    """Keep what was read, or why nothing could be: then the last good state stands, and it is tried again later and later.

    The managers are told of what goes on going wrong, and of bookings that it comes to stand against.
    Raises: NotFound (it was disconnected meanwhile).
    """
    place, row = _locked(session, calendar_id)
    row.lease_until, row.tried_at = None, now
    try:
        if outcome.read is not None:
            known = telling.in_its_way(session, row, now)
            changed = _apply(session, place, row, outcome.read, now)
            telling.conflicts(session, row, known, now)
            if changed and outcome.body is not None:
                _audit(session, row, "read_calendar", None, changed, now)
    except Unreadable as error:
        outcome = Outcome(error=str(error.values["reason"]))
    if outcome.error is None:
        if outcome.body is not None:
            row.body = outcome.body
        if outcome.seen is not None:
            row.etag, row.modified = outcome.seen.etag, outcome.seen.modified
        row.run_at = now + (every if row.url else REREAD)
    else:
        row.error, row.error_status = outcome.error, outcome.status
        row.failures += 1
        telling.failing(session, row, now)
        row.run_at = now + min(every * 2 ** min(row.failures - 1, 10), LONGEST_WAIT)
    session.flush()


def ahead(place: Place) -> timedelta:
    """How far ahead a calendar of the resource is read."""
    return max(AHEAD, timedelta(days=place.rules.horizon_days) + BEYOND)


def window(far: timedelta, now: datetime) -> Slot:
    """Whole days, so that a calendar that did not change is not written anew all day long."""
    today = datetime.combine(now.astimezone(UTC).date(), time(), UTC)
    return Slot(today - BEHIND, today + far)


def _locked(session: Session, calendar_id: str) -> tuple[Place, ExternalCalendar]:
    """Raises: NotFound."""
    place = lock_place(session, queries.get_calendar(session, calendar_id).resource_id)
    return place, queries.get_fresh(session, calendar_id)


def _told(session: Session, resource_id: str, now: datetime) -> Container[str]:
    return queries.told_by_feed(session, resource_id, after=window(AHEAD, now).start)


def _apply(session: Session, place: Place, row: ExternalCalendar, found: Read, now: datetime) -> dict[str, int]:
    """Make the claims what the calendar says: what stayed the same stays untouched, what went is free, what came is closed.

    Returns how much came and went, nothing where nothing did. Raises: Unreadable (more than can be claimed).
    """
    if len(found.busy) * place.capacity > MOST_CLAIMS:
        raise Unreadable(reason="too_many")
    present = queries.busy_of_calendar(session, row.id, after=window(AHEAD, now).start)
    said = set(found.busy)
    gone = [busy for busy in present if busy.slot not in said]
    come = sorted(said - {busy.slot for busy in present})
    _free(session, row, gone)
    _claim(session, place, row, come)
    row.entries, row.notes = found.entries, [dict(note) for note in as_document(found.notes)]
    row.read_at = row.tried_at = now
    row.error = row.error_status = None
    row.failures = 0
    counts = {"entries": found.entries, "busy": len(found.busy), "freed": len(gone), "closed": len(come)}
    return counts if gone or come else {}


def _free(session: Session, row: ExternalCalendar, gone: Sequence[ExternalBusy]) -> None:
    """Give up what was claimed; where an outage or another calendar calls that time its own, it is theirs now."""
    slots = [busy.slot for busy in gone]
    for some in _some([busy.id for busy in gone]):
        session.execute(delete(Claim).where(Claim.external_id.in_(some)), execution_options=UNSEEN)
        session.execute(delete(ExternalBusy).where(ExternalBusy.id.in_(some)), execution_options=UNSEEN)
    if slots:
        whole = Slot(min(slot.start for slot in slots), max(slot.end for slot in slots))
        close_what_is_left(session, resource_id=row.resource_id, around=whole)


def _claim(session: Session, place: Place, row: ExternalCalendar, come: Sequence[Slot]) -> None:
    if not come:
        return
    made = [
        {
            "id": new_id("xbz"),
            "calendar_id": row.id,
            "resource_id": row.resource_id,
            "starts_at": slot.start,
            "ends_at": slot.end,
        }
        for slot in come
    ]
    session.execute(insert(ExternalBusy), made)
    close(session, place, [Closed(ClaimKind.EXTERNAL, str(one["id"]), slot) for one, slot in zip(made, come, strict=True)])


def _some(ids: Collection[str]) -> Iterable[Sequence[str]]:
    """As many at once as both databases take in one statement."""
    ordered = list(ids)
    return (ordered[at : at + AT_ONCE] for at in range(0, len(ordered), AT_ONCE))


def _audit(
    session: Session, row: ExternalCalendar, action: str, actor_id: str | None, after: dict[str, Any] | None, now: datetime
) -> None:
    audit.record(
        session,
        actor_id=actor_id,
        action=action,
        object_kind="resource",
        object_id=row.resource_id,
        institution_id=row.institution_id,
        before=None,
        after={"calendar": row.id, **(after or {})},
        now=now,
    )
