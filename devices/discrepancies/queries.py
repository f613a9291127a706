"""Reads of what is sealed, of the discrepancies that stand, and of what is known with them: stored rows with them put over."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime

from sqlalchemy import Select, exists, or_, select
from sqlalchemy.orm import Session, aliased

from booking.lines.queries import parts_of
from devices.discrepancies.comparing import Figures, put_over, sealed_in, segments_in, sessions_in
from devices.discrepancies.tables import Discrepancy, SealedStretch
from devices.segments import Segment
from devices.tables import Device, StateSegment, UsageSession
from marketplace.refusals import NotFound
from marketplace.slot import Slot
from marketplace.tables import Resource


def lock_devices(session: Session, resource_ids: Collection[str]) -> None:
    """Until the transaction ends nothing of them, nor of their stations, is folded; what ingest inserts does not wait. All at
    once and in one order."""
    if not resource_ids:
        return
    parts = {part for some in parts_of(session, resource_ids).values() for part in some}
    mine = select(Device.id).where(Device.resource_id.in_(parts)).order_by(Device.id)
    session.execute(mine.with_for_update(key_share=True)).all()


def sealed_since(session: Session, resource_id: str, since: datetime) -> Sequence[SealedStretch]:
    """Stretches of the resource that reach beyond `since`."""
    mine = select(SealedStretch).where(SealedStretch.resource_id == resource_id, SealedStretch.ends_at > since)
    return session.scalars(mine.order_by(SealedStretch.starts_at, SealedStretch.cause_id)).all()


def sealed_for(session: Session, cause_ids: Collection[str]) -> set[str]:
    """The resources of which a stretch is sealed by one of these causes."""
    return set(session.scalars(select(SealedStretch.resource_id).where(SealedStretch.cause_id.in_(cause_ids))))


def sealed_by(session: Session, cause_ids: Collection[str]) -> Sequence[SealedStretch]:
    """What was sealed for these statements or revisions, by where and when."""
    found = select(SealedStretch).where(SealedStretch.cause_id.in_(cause_ids))
    return session.scalars(found.order_by(SealedStretch.cause_id, SealedStretch.resource_id, SealedStretch.starts_at)).all()


def stored_segments(session: Session, device_id: str, within: Slot) -> list[StateSegment]:
    mine = select(StateSegment).where(StateSegment.device_id == device_id, StateSegment.starts_at < within.end)
    return list(session.scalars(mine.where(StateSegment.ends_at > within.start).order_by(StateSegment.starts_at)))


def stored_sessions(session: Session, device_id: str, within: Slot) -> list[UsageSession]:
    """Open ones go on."""
    mine = select(UsageSession).where(UsageSession.device_id == device_id, UsageSession.starts_at < within.end)
    reaching = or_(UsageSession.until > within.start, UsageSession.starts_at >= within.start, UsageSession.ends_at.is_(None))
    return list(session.scalars(mine.where(reaching).order_by(UsageSession.starts_at)))


def stored_figures(row: UsageSession) -> Figures:
    return Figures(
        row.starts_at, row.ends_at, row.until, row.confirmed_s, row.unverified_s, row.energy_wh,
        row.end_reason.value if row.end_reason else None, row.grade.value, tuple(row.flags),
    )  # fmt: skip


def _standing() -> Select[Discrepancy]:
    later = aliased(Discrepancy)
    newer = (later.device_id == Discrepancy.device_id, later.day == Discrepancy.day, later.number > Discrepancy.number)
    return select(Discrepancy).where(~exists().where(*newer))


def standing_of_device(session: Session, device_id: str, since: datetime) -> Sequence[Discrepancy]:
    """The last record of each day that reaches beyond `since`, whether or not it still says that something differs."""
    mine = _standing().where(Discrepancy.device_id == device_id, Discrepancy.ends_at > since)
    return session.scalars(mine.order_by(Discrepancy.day)).all()


def standing(session: Session, resource_ids: Collection[str], within: Slot) -> Sequence[Discrepancy]:
    """Those that say that something differs in `within`, in order."""
    mine = _standing().where(Discrepancy.resource_id.in_(resource_ids), Discrepancy.differs)
    there = (Discrepancy.starts_at < within.end, Discrepancy.ends_at > within.start)
    return session.scalars(mine.where(*there).order_by(Discrepancy.starts_at, Discrepancy.device_id)).all()


def standing_found(
    session: Session, institution_id: str, within: Slot, *, after: datetime, until: datetime
) -> Sequence[Discrepancy]:
    """The last records of an institution's resources in `within` that were found in that time, oldest first."""
    found = _standing().join(Resource, Resource.id == Discrepancy.resource_id).where(Resource.institution_id == institution_id)
    there = (Discrepancy.starts_at < within.end, Discrepancy.ends_at > within.start)
    then = (Discrepancy.found_at > after, Discrepancy.found_at <= until)
    return session.scalars(found.where(*there, *then).order_by(Discrepancy.found_at, Discrepancy.id)).all()


def with_discrepancies(
    session: Session, meters: Mapping[tuple[str, str], list[Segment]], resource_ids: Collection[str], within: Slot
) -> dict[tuple[str, str], list[Segment]]:
    """By resource and device, the states of each meter as all messages come to; as they are stored where nothing differs."""
    found = dict(meters)
    for row in standing(session, resource_ids, within):
        slots, key = [part for slot in sealed_in(row.would_be) if (part := slot.clip(within))], (row.resource_id, row.device_id)
        found[key] = put_over(found.get(key, []), slots, segments_in(row.would_be))
    return found


def known_sessions(session: Session, resource_ids: Collection[str], within: Slot) -> list[tuple[str, Figures]]:
    """(device, run) that touch `within` as all messages come to, in order; of what differs in sealed time the parts there."""
    rows = session.scalars(
        select(UsageSession)
        .where(UsageSession.resource_id.in_(resource_ids), UsageSession.starts_at < within.end, UsageSession.until > within.start)
        .order_by(UsageSession.starts_at, UsageSession.id)
    )
    was: dict[str, list[datetime]] = defaultdict(list)
    others: dict[tuple[str, datetime], Figures] = {}
    for one in standing(session, resource_ids, within):
        was[one.device_id] += [run.starts_at for run in sessions_in(one.was)]
        others |= {(one.device_id, run.starts_at): run for run in sessions_in(one.would_be)}
    stored = [(row.device_id, stored_figures(row)) for row in rows if row.starts_at not in was[row.device_id]]
    touching = [(device, run) for (device, _), run in others.items() if run.starts_at < within.end and run.until > within.start]
    return sorted([*stored, *touching], key=lambda one: (one[1].starts_at, one[0]))


def known_runs(session: Session, resource_id: str, within: Slot) -> list[Figures]:
    """The same of a resource and of everything below it."""
    return [run for _, run in known_sessions(session, parts_of(session, [resource_id])[resource_id], within)]


def begin_of_runs(session: Session, device_id: str, start: datetime) -> datetime:
    """`start`, outside of any stored run, or the begin of what ran then as a standing discrepancy has it."""
    while records := standing_of_device(session, device_id, start):
        begins = [run.starts_at for row in records for run in sessions_in(row.would_be) if run.starts_at < start < run.until]
        mine = select(UsageSession.starts_at).where(UsageSession.device_id == device_id)
        begins += session.scalars(mine.where(UsageSession.starts_at < start, UsageSession.until > start))
        if not begins:
            break
        start = min(begins)
    return start


def get_discrepancy(session: Session, discrepancy_id: str) -> Discrepancy:
    """Raises: NotFound."""
    if row := session.get(Discrepancy, discrepancy_id):
        return row
    raise NotFound(kind="discrepancy")


def discrepancies_of(session: Session, resource_id: str, *, limit: int = 50, offset: int = 0) -> Sequence[Discrepancy]:
    """Every record of the resource and of everything below it, the last found first."""
    mine = select(Discrepancy).where(Discrepancy.resource_id.in_(parts_of(session, [resource_id])[resource_id]))
    return session.scalars(mine.order_by(Discrepancy.found_at.desc(), Discrepancy.id.desc()).limit(limit).offset(offset)).all()


def newest(session: Session, institution_id: str | None, *, limit: int, offset: int = 0) -> Sequence[Discrepancy]:
    """The standing ones of an institution or of all, the last found first."""
    rows = _standing()
    if institution_id is not None:
        rows = rows.join(Resource, Resource.id == Discrepancy.resource_id).where(Resource.institution_id == institution_id)
    return session.scalars(rows.order_by(Discrepancy.found_at.desc(), Discrepancy.id.desc()).limit(limit).offset(offset)).all()


def by_ids(session: Session, ids: Collection[str]) -> Sequence[Discrepancy]:
    return session.scalars(
        select(Discrepancy).where(Discrepancy.id.in_(ids)).order_by(Discrepancy.starts_at, Discrepancy.id)
    ).all()


def sealed_parts(session: Session, resource_id: str, within: Slot) -> list[Slot]:
    """The parts of `within` that are sealed; they may overlap."""
    found = (Slot(one.starts_at, one.ends_at).clip(within) for one in sealed_since(session, resource_id, within.start))
    return [one for one in found if one]


def of_same_days(session: Session, found: Collection[Discrepancy]) -> dict[tuple[str, date], list[Discrepancy]]:
    """By device and day, every record of the days of those that are given, oldest first."""
    days = {(one.device_id, one.day) for one in found}
    rows = select(Discrepancy).where(Discrepancy.device_id.in_({device_id for device_id, _ in days}))
    then = rows.where(Discrepancy.day.in_({day for _, day in days})).order_by(Discrepancy.number)
    same: dict[tuple[str, date], list[Discrepancy]] = defaultdict(list)
    for row in session.scalars(then):
        same[row.device_id, row.day].append(row)
    return same
