"""Reads of waiting lists."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from booking.tables import Claim
from booking.waiting.line import OPEN, WaitingState
from booking.waiting.tables import WaitingEntry
from marketplace.permissions import Actor
from marketplace.refusals import NotFound
from marketplace.slot import Slot

IN_ORDER = (WaitingEntry.joined_at, WaitingEntry.id)


def get_entry(session: Session, entry_id: str) -> WaitingEntry:
    """Raises: NotFound."""
    if row := session.get(WaitingEntry, entry_id):
        return row
    raise NotFound(kind="waiting")


def get_entry_for(session: Session, actor: Actor, entry_id: str) -> WaitingEntry:
    """The actor's own place in a line. Raises: NotFound (also for another's)."""
    row = get_entry(session, entry_id)
    if row.person_id != actor.person_id:
        raise NotFound(kind="waiting")
    return row


def entries_for(session: Session, actor: Actor, *, limit: int, offset: int = 0) -> Sequence[WaitingEntry]:
    """The actor's own places, those that are open first, then by what was joined last."""
    closed = WaitingEntry.state.not_in(OPEN)
    mine = select(WaitingEntry).where(WaitingEntry.person_id == actor.known_id)
    newest = (closed, WaitingEntry.joined_at.desc(), WaitingEntry.id.desc())
    return session.scalars(mine.order_by(*newest).limit(limit).offset(offset)).all()


def line_of(session: Session, resource_ids: Collection[str]) -> Sequence[WaitingEntry]:
    """Who waits for or is offered time of the resources, the first in line first."""
    found = select(WaitingEntry).where(WaitingEntry.resource_id.in_(resource_ids), WaitingEntry.state.in_(OPEN))
    return session.scalars(found.order_by(*IN_ORDER)).all()


def waiting_for(session: Session, resource_ids: Collection[str], *, within: Slot | None) -> Sequence[WaitingEntry]:
    """Who waits for time of the resources that meets `within`, or for any, the first in line first."""
    found = select(WaitingEntry).where(WaitingEntry.resource_id.in_(resource_ids), WaitingEntry.state == WaitingState.WAITING)
    if within:
        found = found.where(WaitingEntry.starts_at < within.end, WaitingEntry.ends_at > within.start)
    return session.scalars(found.order_by(*IN_ORDER).execution_options(populate_existing=True)).all()


def open_places_of(session: Session, person_id: str) -> Sequence[WaitingEntry]:
    return session.scalars(
        select(WaitingEntry).where(WaitingEntry.person_id == person_id, WaitingEntry.state.in_(OPEN)).order_by(*IN_ORDER)
    ).all()


def count_in_line(session: Session, resource_id: str) -> int:
    found = select(func.count()).where(WaitingEntry.resource_id == resource_id, WaitingEntry.state.in_(OPEN))
    return session.scalar(found) or 0


def positions(session: Session, entries: Collection[WaitingEntry]) -> Mapping[str, int]:
    """From 1, the place of each waiting entry among those whose windows meet its own."""
    line = line_of(session, {entry.resource_id for entry in entries if entry.state is WaitingState.WAITING})
    rivals = [one for one in line if one.state is WaitingState.WAITING]
    return {
        entry.id: 1 + sum(_before(other, entry) and other.window.overlaps(entry.window) for other in rivals)
        for entry in entries
        if entry.state is WaitingState.WAITING
    }


def _before(one: WaitingEntry, other: WaitingEntry) -> bool:
    return one.resource_id == other.resource_id and (one.joined_at, one.id) < (other.joined_at, other.id)


def lapsed(session: Session, *, now: datetime, limit: int) -> Sequence[WaitingEntry]:
    """Offers that nobody has answered in time, the oldest first."""
    found = select(WaitingEntry).where(WaitingEntry.state == WaitingState.OFFERED, WaitingEntry.offered_until <= now)
    return session.scalars(found.order_by(WaitingEntry.offered_until).limit(limit)).all()


def longest_not_looked_at(session: Session, *, limit: int) -> Sequence[str]:
    """The resources in whose line somebody waits that nobody has looked at for longest."""
    found = select(WaitingEntry.resource_id).where(WaitingEntry.state == WaitingState.WAITING)
    return session.scalars(found.group_by(WaitingEntry.resource_id).order_by(func.min(WaitingEntry.looked_at)).limit(limit)).all()


def offers_on(session: Session, resource_id: str, *, within: Slot) -> Sequence[WaitingEntry]:
    """Whose offered time, buffers included, meets `within` on the resource or takes it along as a part."""
    claimed = select(Claim.waiting_id).where(
        Claim.active, Claim.resource_id == resource_id, Claim.starts_at < within.end, Claim.ends_at > within.start
    )
    return session.scalars(select(WaitingEntry).where(WaitingEntry.id.in_(claimed)).order_by(WaitingEntry.id)).all()
