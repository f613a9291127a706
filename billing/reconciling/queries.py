"""Reads of the two sides, of findings, closed days and runs of the checks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing.ledger import Account, EntryKind
from billing.providers.base import MadeFact
from billing.reconciling.closing import Closed, Leg, close, span
from billing.reconciling.matching import POSTED, Booked, FindingKind, Found, Moved
from billing.reconciling.tables import CheckRun, DayClose, Finding, ProviderMovement
from billing.tables import CallState, JournalEntry, JournalLeg, Operation, Payment, ProviderCall, ProviderEvent
from marketplace.money import Money
from marketplace.refusals import NotFound

SETTLING = timedelta(hours=1)
"""What moved since then may not have been posted yet, or the other way round."""

MADE_SINCE = timedelta(days=8)
"""Longer than any hold lives: what was made earlier has moved money by now, or never will."""

OVERLAP = timedelta(days=1)
"""So far back the provider is asked again: its clock is not ours."""

KEYS_AT_ONCE = 500
LONG_AGO = datetime.fromisoformat("2011-01-01T00:00:00+00:00")


def read_from(session: Session) -> datetime:
    """From when on movements are still to be asked for."""
    newest = session.scalar(select(func.max(ProviderMovement.created_at)))
    return newest - OVERLAP if newest else LONG_AGO


def movements(session: Session) -> Sequence[ProviderMovement]:
    """All that was seen, oldest first."""
    return session.scalars(select(ProviderMovement).order_by(ProviderMovement.created_at, ProviderMovement.id)).all()


def payments_by_object(session: Session) -> dict[str, str]:
    """Our payments by the provider's id of them and of their charge."""
    rows = session.execute(select(Payment.id, Payment.object_id, Payment.charge_id).where(Payment.object_id.is_not(None)))
    return {name: payment for payment, *names in rows for name in names if name}


def as_moved(known: Iterable[ProviderMovement], payments: dict[str, str]) -> list[Moved]:
    return [
        Moved(row.id, row.kind, payments.get(row.about or ""), row.currency, row.amount_minor - row.fee_minor) for row in known
    ]


def booked(session: Session) -> list[Booked]:
    """What the journal has on PSP, by source and kind."""
    rows = session.execute(
        select(
            JournalEntry.source_type, JournalEntry.source_id, JournalEntry.kind, JournalEntry.currency,
            func.min(JournalEntry.booking_id), func.sum(JournalLeg.amount_minor),
        )
        .join(JournalLeg, JournalLeg.entry_id == JournalEntry.id)
        .where(JournalLeg.account == Account.PSP)
        .group_by(JournalEntry.source_type, JournalEntry.source_id, JournalEntry.kind, JournalEntry.currency)
    )  # fmt: skip
    return [
        Booked(_subject(source_type, source_id), booking_id, _part(kind), currency, int(amount))
        for source_type, source_id, kind, currency, booking_id, amount in rows
    ]


def _subject(source_type: str, source_id: str) -> str:
    """A payment's own id: what it posts later has more behind it."""
    return source_id.partition(":")[0] if source_type == "payment" else source_id


def _part(kind: EntryKind) -> str:
    return POSTED.get(kind, kind.value)


def under_way(session: Session, *, now: datetime) -> set[str]:
    """Payments of which something is still to be called, or was posted or moved just now."""
    waiting = select(ProviderCall.payment_id).where(ProviderCall.state == CallState.WAITING)
    recent = select(JournalEntry.source_id).where(JournalEntry.source_type == "payment", JournalEntry.created_at > now - SETTLING)
    moving = select(ProviderMovement.about).where(ProviderMovement.created_at > now - SETTLING)
    known = select(Payment.id).where(Payment.object_id.in_(moving) | Payment.charge_id.in_(moving))
    return {*session.scalars(waiting), *(name.partition(":")[0] for name in session.scalars(recent)), *session.scalars(known)}


def objects(session: Session, made: Sequence[MadeFact], *, now: datetime) -> list[Found]:
    """Payments and transfers that only one side has, of those made since `MADE_SINCE`; what was made after the provider's books
    were read is not missing there."""
    keys: dict[str, ProviderCall] = {}
    for first in range(0, len(made), KEYS_AT_ONCE):
        asked = [one.key for one in made[first : first + KEYS_AT_ONCE]]
        keys |= {row.key: row for row in session.scalars(select(ProviderCall).where(ProviderCall.key.in_(asked)))}
    ours = payments_by_object(session)
    unknown = [one for one in made if one.holds_money and not _is_known(one, keys.get(one.key), ours)]
    found = [Found(FindingKind.OBJECT_UNKNOWN, one.object_id, None, one.currency, one.amount_minor, 0) for one in unknown]
    there = {one.object_id for one in made}
    recent = select(Payment).where(Payment.object_id.is_not(None), Payment.created_at > now - MADE_SINCE + OVERLAP)
    called = set(session.scalars(select(ProviderCall.payment_id).where(ProviderCall.done_at > now - SETTLING)))
    known = (row for row in session.scalars(recent.order_by(Payment.id)) if row.id not in called)
    missing = [row for row in known if row.object_id not in there]
    return found + [
        Found(FindingKind.OBJECT_MISSING, row.id, row.booking_id, row.currency, 0, row.authorised_minor) for row in missing
    ]


def _is_known(one: MadeFact, call: ProviderCall | None, ours: dict[str, str]) -> bool:
    """A call that is still to be recorded knows it soon."""
    if call is None:
        return False
    if call.state is CallState.WAITING:
        return True
    return call.state is CallState.DONE if call.operation is Operation.TRANSFER else one.object_id in ours


def open_findings(session: Session) -> Sequence[Finding]:
    """Found by the last run and not resolved, oldest first."""
    waiting = select(Finding).where(Finding.gone_at.is_(None), Finding.resolved_at.is_(None))
    return session.scalars(waiting.order_by(Finding.found_at, Finding.id)).all()


def resolved_findings(session: Session, *, limit: int = 50) -> Sequence[Finding]:
    """Newest first."""
    found = select(Finding).where(Finding.resolved_at.is_not(None)).order_by(Finding.resolved_at.desc(), Finding.id)
    return session.scalars(found.limit(limit)).all()


def get_finding(session: Session, finding_id: str) -> Finding:
    """Locked until the transaction ends. Raises: NotFound."""
    if row := session.scalars(select(Finding).where(Finding.id == finding_id).with_for_update()).one_or_none():
        return row
    raise NotFound(kind="finding")


MONEY = (FindingKind.UNKNOWN_MOVEMENT, FindingKind.NOT_POSTED, FindingKind.NOT_THERE, FindingKind.DIFFERS)


def difference(session: Session) -> list[Money]:
    """How much more there is at the provider than in the ledger by all open findings, by currency."""
    sums = select(Finding.currency, func.sum(Finding.theirs_minor - Finding.ours_minor)).where(
        Finding.gone_at.is_(None), Finding.resolved_at.is_(None), Finding.kind.in_(MONEY)
    )
    return [Money(int(amount), currency) for currency, amount in session.execute(sums.group_by(Finding.currency))]


@dataclass(frozen=True, slots=True)
class Figures:
    """For a monitor: what waits on the way to and from the provider, and by how much the two sides differ."""

    oldest_call: datetime | None
    oldest_event: datetime | None
    put_aside: int
    differences: Sequence[Money]
    last_run: datetime | None


def figures(session: Session) -> Figures:
    waiting = select(func.min(ProviderCall.created_at)).where(ProviderCall.state == CallState.WAITING)
    aside = ProviderEvent.quarantined_at.is_not(None)
    unread = select(func.min(ProviderEvent.received_at)).where(ProviderEvent.done_at.is_(None), ~aside)
    return Figures(
        oldest_call=session.scalar(waiting),
        oldest_event=session.scalar(unread),
        put_aside=session.scalar(select(func.count()).select_from(ProviderEvent).where(aside)) or 0,
        differences=difference(session),
        last_run=session.scalar(select(func.max(CheckRun.done_at))),
    )


def legs_of(session: Session, day: date, zone: str) -> list[Leg]:
    """Every leg that was posted on a local day."""
    first, last = span(day, zone)
    rows = session.execute(
        select(
            JournalEntry.id, JournalEntry.kind, JournalEntry.source_type, JournalEntry.source_id, JournalEntry.currency,
            JournalLeg.account, JournalLeg.amount_minor,
        )
        .join(JournalLeg, JournalLeg.entry_id == JournalEntry.id)
        .where(JournalEntry.created_at >= first, JournalEntry.created_at < last)
    )  # fmt: skip
    return [
        Leg(entry, f"{kind.value}:{source}:{name}", currency, account.value, amount)
        for entry, kind, source, name, currency, account, amount in rows
    ]


def closed_as(session: Session, day: date, zone: str, before: DayClose | None) -> Closed:
    """What a day comes to by the journal as it is now."""
    balances = {(one["account"], one["currency"]): one["balance_minor"] for one in (before.totals if before else ())}
    return close(day, zone, legs_of(session, day, zone), balances, before.digest if before else "")


def reopened(session: Session) -> list[str]:
    """Closed days that are not what the journal says any more, or not chained to the day before."""
    before, found = None, []
    for row in reversed(closes(session)):
        now = closed_as(session, row.day, row.zone, before)
        follows = before is None or row.day == before.day + timedelta(days=1)
        if (now.digest, now.entries_digest) != (row.digest, row.entries_digest) or not follows:
            found.append(row.day.isoformat())
        before = row
    return found


def first_entry_at(session: Session) -> datetime | None:
    return session.scalar(select(func.min(JournalEntry.created_at)))


def last_close(session: Session) -> DayClose | None:
    return session.scalars(select(DayClose).order_by(DayClose.day.desc()).limit(1)).one_or_none()


def closes(session: Session, *, limit: int | None = None) -> Sequence[DayClose]:
    """Newest first."""
    return session.scalars(select(DayClose).order_by(DayClose.day.desc()).limit(limit)).all()


def last_run(session: Session) -> CheckRun | None:
    """The last that was done."""
    done = select(CheckRun).where(CheckRun.done_at.is_not(None)).order_by(CheckRun.done_at.desc(), CheckRun.id.desc())
    return session.scalars(done.limit(1)).one_or_none()


def waiting_run(session: Session) -> CheckRun | None:
    """The oldest that is still to be done."""
    asked = select(CheckRun).where(CheckRun.done_at.is_(None)).order_by(CheckRun.asked_at, CheckRun.id)
    return session.scalars(asked.limit(1)).one_or_none()
