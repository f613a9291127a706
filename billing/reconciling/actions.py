"""Writes of reconciliation: what the provider's account did, what differs, closed days, runs of the checks."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from billing.providers.base import MadeFact, MovementFact, Provider, Trouble
from billing.reconciling import queries
from billing.reconciling.closing import last_to_close
from billing.reconciling.matching import Found, differences
from billing.reconciling.tables import Answered, CheckRun, DayClose, Finding, ProviderMovement
from marketplace import audit
from marketplace.ids import new_id
from marketplace.refusals import Invalid, WrongState
from marketplace.topics import READERS_ZONE
from marketplace.upsert import insert_new

DAYS_AT_ONCE = 31
NIGHT = time(2)
"""From then on, local time, every check is run once more."""

LEASE = timedelta(minutes=30)
"""Longer than all checks take; a run whose worker died is done again after it."""

Books = tuple[Sequence[MovementFact], Sequence[MadeFact]]
"""What the provider's account did since it was asked last, and what was made there of late."""

NOTHING: Books = ((), ())


def compare(session: Session, books: Books, *, now: datetime) -> list[Found]:
    """The stored movements, and what was read now, against the ledger; nothing is stored."""
    stored = list(queries.movements(session))
    known = {row.id for row in stored}
    fresh = [_row(one, now) for one in books[0] if one.object_id not in known]
    moved = queries.as_moved([*stored, *(ProviderMovement(**row) for row in fresh)], queries.payments_by_object(session))
    recent = {row["about"] for row in fresh if row["created_at"] > now - queries.SETTLING}
    busy = queries.under_way(session, now=now)
    busy |= {payment for name, payment in queries.payments_by_object(session).items() if name in recent}
    return [*differences(moved, queries.booked(session), busy), *queries.objects(session, books[1], now=now)]


def store(session: Session, books: Books, *, now: datetime) -> int:
    """Keep every movement that was not seen before; how many."""
    session.flush()
    return len(insert_new(session, ProviderMovement, [_row(one, now) for one in books[0]], key="id"))


def note(session: Session, found: Sequence[Found], *, now: datetime) -> None:
    """Keep what differs: what was found before stays one finding, and what is not found any more is gone."""
    session.flush()
    insert_new(session, Finding, [{"id": new_id("fnd"), **asdict(one), "found_at": now} for one in found], key="id")
    there = {(one.kind, one.subject, one.theirs_minor, one.ours_minor) for one in found}
    for row in session.scalars(select(Finding)):
        seen = (row.kind, row.subject, row.theirs_minor, row.ours_minor) in there
        if seen != (row.gone_at is None):
            row.gone_at = None if seen else now
    session.flush()


def _row(one: MovementFact, now: datetime) -> dict[str, Any]:
    return {
        "id": one.object_id,
        "kind": one.kind,
        "source_id": one.source_id,
        "about": one.about,
        "amount_minor": one.amount_minor,
        "fee_minor": one.fee_minor,
        "currency": one.currency,
        "created_at": one.created_at,
        "seen_at": now,
    }


def resolve(session: Session, *, finding_id: str, reason: str, actor_id: str, now: datetime) -> Finding:
    """A person has looked into a finding and says what it is. Raises: NotFound, WrongState, Invalid."""
    row = queries.get_finding(session, finding_id)
    if row.resolved_at is not None or row.gone_at is not None:
        raise WrongState(state="resolved" if row.resolved_at else "gone", move="resolve_finding")
    if not reason.strip() or len(reason) > 1000:
        raise Invalid(field="reason", reason="say in 1 to 1,000 characters why")
    row.resolved_at, row.resolved_by, row.reason = now, actor_id, reason.strip()
    session.flush()
    audit.record(
        session,
        actor_id=actor_id,
        action="resolve",
        object_kind="finding",
        object_id=row.id,
        institution_id=None,
        before=None,
        after={"subject": row.subject, "reason": row.reason},
        now=now,
    )
    return row


def close_days(session: Session, *, now: datetime) -> list[date]:
    """Close each local day that is over, the oldest first, each once; which."""
    closed: list[date] = []
    before, first = queries.last_close(session), queries.first_entry_at(session)
    if before is None and first is None:
        return closed
    day = before.day + timedelta(days=1) if before else first.astimezone(ZoneInfo(READERS_ZONE)).date()  # type: ignore[union-attr]
    while day <= last_to_close(now, READERS_ZONE) and len(closed) < DAYS_AT_ONCE:
        before = _close_day(session, day, before, now)
        closed.append(day)
        day += timedelta(days=1)
    return closed


def _close_day(session: Session, day: date, before: DayClose | None, now: datetime) -> DayClose:
    made = queries.closed_as(session, day, READERS_ZONE, before)
    row = DayClose(
        day=day,
        zone=READERS_ZONE,
        entries=made.entries,
        totals=[asdict(total) for total in made.totals],
        entries_digest=made.entries_digest,
        previous=before.digest if before else "",
        digest=made.digest,
        closed_at=now,
    )
    session.add(row)
    session.flush()
    return row


def ask_run(session: Session, *, cause: str | None, actor_id: str | None, now: datetime) -> None:
    """Have every check run by a worker, once for its cause; a person need not give one."""
    run_id = new_id("run")
    row = {"id": run_id, "cause": cause or run_id, "asked_by": actor_id, "asked_at": now}
    session.flush()
    insert_new(session, CheckRun, [row], key="id")


def ask_nightly(session: Session, *, now: datetime) -> None:
    """Have every check run once a night."""
    local = now.astimezone(ZoneInfo(READERS_ZONE))
    if local.time() >= NIGHT:
        ask_run(session, cause=f"night:{local.date().isoformat()}", actor_id=None, now=now)


def claim_run(session: Session, *, now: datetime) -> str | None:
    """Lease the oldest run that waits; commit before reading the provider."""
    free = or_(CheckRun.lease_until.is_(None), CheckRun.lease_until <= now, CheckRun.lease_until > now + LEASE)
    asked = select(CheckRun).where(CheckRun.done_at.is_(None), free).order_by(CheckRun.asked_at, CheckRun.id)
    row = session.scalars(asked.limit(1).with_for_update(skip_locked=True)).one_or_none()
    if row is None:
        return None
    row.lease_until = now + LEASE
    session.flush()
    return row.id


def finish_run(session: Session, *, run_id: str, provider: Answered, results: Sequence[Any], now: datetime) -> None:
    """Keep what a run has found; a run that another worker has done meanwhile stays as it is."""
    done = {"done_at": now, "lease_until": None, "provider": provider, "results": {"checks": list(results)}}
    session.execute(update(CheckRun).where(CheckRun.id == run_id, CheckRun.done_at.is_(None)).values(**done))
    session.flush()


def ask_provider(provider: Provider | None, *, since: datetime, now: datetime) -> tuple[Answered, Books]:
    """Its books, read with no transaction open; or why there are none."""
    if provider is None:
        return Answered.NOT_SET_UP, NOTHING
    try:
        return Answered.ANSWERED, (provider.movements_since(since), provider.made_since(now - queries.MADE_SINCE))
    except Trouble:
        return Answered.AWAY, NOTHING
