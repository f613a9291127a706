"""What changes an outage that was entered: it ends earlier, or is withdrawn. Its past stays as it was recorded."""

from datetime import datetime, timedelta

from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from booking.outages import queries
from booking.outages.actions import close_what_is_left
from booking.places import Place, lock_place
from booking.tables import Claim, Outage
from marketplace import audit
from marketplace.refusals import Invalid, NotFound, WrongState
from marketplace.slot import Slot

MINUTE = timedelta(minutes=1)


def end_outage(session: Session, *, outage_id: str, end: datetime | None, actor_id: str, now: datetime) -> tuple[Outage, Slot]:
    """Let it be over at `end`, or at the next full minute; what it claims behind that is free, and given back here.

    What is past stays: the figures count it as it was. What another outage or a calendar calls its own of that time is closed
    for them. Bookings that its plan had moved or cancelled stay so.
    Raises: NotFound, Invalid, WrongState (over, or to end now and not begun).
    """
    place, row = _locked(session, outage_id)
    whole = row.slot
    if whole.end <= now:
        raise WrongState(state="over", move="end_outage")
    if end is None and now <= whole.start:
        raise WrongState(state="not_begun", move="end_outage")
    until = _next_minute(now) if end is None else end
    if end is None and until >= whole.end:
        raise WrongState(state="over", move="end_outage")
    _check(until, whole, now)
    row.slot, row.ended_at = Slot(whole.start, until), now
    session.flush()
    freed = Slot(until, whole.end)
    _free(session, row, freed)
    _record(session, place, "end_outage", whole, {"start": whole.start.isoformat(), "end": until.isoformat()}, row, actor_id, now)
    return row, freed


def withdraw_outage(session: Session, *, outage_id: str, actor_id: str, now: datetime) -> tuple[str, Slot]:
    """Take back one that has not begun: it never was, so its row goes and the record of changes keeps what it said.

    Returns its resource and the time that is free. Raises: NotFound, WrongState (it has begun, or is over).
    """
    place, row = _locked(session, outage_id)
    whole = row.slot
    if whole.start < now:
        raise WrongState(state="over" if whole.end <= now else "begun", move="withdraw_outage")
    session.execute(delete(Claim).where(Claim.outage_id == row.id))
    session.delete(row)
    session.flush()
    close_what_is_left(session, resource_id=place.resource_id, around=whole)
    _record(session, place, "withdraw_outage", whole, None, row, actor_id, now)
    return place.resource_id, whole


def _locked(session: Session, outage_id: str) -> tuple[Place, Outage]:
    """As it is once nobody else can change it. Raises: NotFound."""
    place = lock_place(session, queries.get_outage(session, outage_id).resource_id)
    row = session.get(Outage, outage_id, populate_existing=True)
    if row is None:
        raise NotFound(kind="outage")
    return place, row


def _next_minute(now: datetime) -> datetime:
    whole = now.replace(second=0, microsecond=0)
    return whole if whole == now else whole + MINUTE


def _check(until: datetime, whole: Slot, now: datetime) -> None:
    if until < now:
        raise Invalid(field="end", reason="is past, and what is past stays as it was recorded")
    if until <= whole.start:
        raise Invalid(field="end", reason="not after start")
    if until >= whole.end:
        raise Invalid(field="end", reason="is not before its end; for a longer one enter another outage from there")


def _free(session: Session, row: Outage, freed: Slot) -> None:
    mine = Claim.outage_id == row.id
    session.execute(delete(Claim).where(mine, Claim.starts_at >= freed.start))
    session.execute(update(Claim).where(mine, Claim.ends_at > freed.start).values(ends_at=freed.start))
    close_what_is_left(session, resource_id=row.resource_id, around=freed)


def _record(
    session: Session,
    place: Place,
    action: str,
    was: Slot,
    after: dict[str, str] | None,
    row: Outage,
    actor_id: str,
    now: datetime,
) -> None:
    said = {"outage": row.id, "planned": row.planned, "reason": row.reason}
    audit.record(
        session,
        actor_id=actor_id,
        action=action,
        object_kind="resource",
        object_id=place.resource_id,
        institution_id=place.institution_id,
        before={"start": was.start.isoformat(), "end": was.end.isoformat(), **said},
        after={**after, **said} if after else None,
        now=now,
    )
