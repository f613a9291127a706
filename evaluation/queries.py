"""Published revisions and entered values; and the figures of an institution or of one unit as they stand now."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from booking.lines.queries import kin_of
from booking.queries import bookings_of_any
from devices.queries import sessions_of_resource
from evaluation.assess import evaluate
from evaluation.document import as_document
from evaluation.facts import Reservation, Telemetry, Use
from evaluation.periods import period_slot
from evaluation.schemes import DEFAULT, load_scheme
from evaluation.sources.queries import facts_of, facts_of_unit
from evaluation.spans import Span
from evaluation.states import BookingResult
from evaluation.tables import ManualEntry, Revision
from marketplace.refusals import Invalid, NotFound
from marketplace.slot import Slot
from marketplace.tables import Institution, Resource

MAX_WINDOW_DAYS = 400
"""The longest window figures are computed for while someone waits."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """One institution's newest revision of a period, with its place."""

    place: int
    institution_id: str
    institution: str
    revision: Revision


@dataclass(frozen=True, slots=True)
class BookingUse:
    """A booking under a unit's figures: the scheme's verdict beside what the devices' floor found."""

    booking_id: str
    start: datetime
    end: datetime
    category: str
    status: str
    eff_s: int
    session_ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of telemetry under a unit's figures."""

    start: datetime
    end: datetime
    state: Telemetry
    device_id: str


@dataclass(frozen=True, slots=True)
class UnitDetail:
    """Everything a unit's figures rest on, down to sessions and segments."""

    resource_id: str
    name: str
    institution_id: str
    figures: dict[str, Any]
    ledger_s: dict[str, int]
    bookings: Sequence[BookingUse]
    segments: Sequence[Stretch]


def institution_metrics(session: Session, institution_id: str, within: Slot, *, scheme: str = DEFAULT) -> dict[str, Any]:
    """Figures of an institution and of its units in `within`, as they stand now; scores come with a published period only.

    `{"institution_id", "from", "to", "scheme", "metrics", "units": [{"resource_id", "name", "metrics", "ledger"}]}`.
    Raises: NotFound, Invalid.
    """
    if session.get(Institution, institution_id) is None:
        raise NotFound(kind="institution")
    _check_window(within)
    applied = load_scheme(scheme)
    found = evaluate(facts_of(session, applied, within=within, institution_ids=[institution_id]), applied)
    document = as_document(found)
    return {
        "institution_id": institution_id,
        "from": within.start.isoformat(),
        "to": within.end.isoformat(),
        "scheme": scheme,
        "metrics": document["organisations"].get(institution_id, {}),
        "units": [
            {
                "resource_id": unit_id,
                "name": found.units[unit_id].facts.unit.name,
                "metrics": metrics,
                "ledger": document["ledger"][unit_id],
            }
            for unit_id, metrics in document["units"].items()
        ],
    }


def _check_window(within: Slot) -> None:
    if within.duration.days > MAX_WINDOW_DAYS:
        raise Invalid(field="to", reason="more than {max_days} days", max_days=MAX_WINDOW_DAYS)


def unit_detail(session: Session, resource_id: str, within: Slot, *, scheme: str = DEFAULT) -> UnitDetail:
    """Raises: NotFound, Invalid."""
    row = session.get(Resource, resource_id)
    if row is None:
        raise NotFound(kind="resource")
    _check_window(within)
    applied = load_scheme(scheme)
    found = evaluate(facts_of_unit(session, applied, resource_id, within=within), applied)
    unit, document = found.units[resource_id], as_document(found)
    sessions = _sessions(session, resource_id, within)
    stretches = [Stretch(*_ends((s.start, s.end)), s.state, s.meter_id) for s in unit.facts.segments]
    return UnitDetail(
        resource_id=resource_id,
        name=row.name,
        institution_id=row.institution_id,
        figures=document["units"][resource_id],
        ledger_s=document["ledger"][resource_id],
        bookings=[
            _booking_use(booking, category, result, sessions.get(booking.id, ()))
            for booking, category, result in zip(unit.facts.bookings, unit.states.category, unit.states.results, strict=True)
            if booking.start < within.end.timestamp() and booking.end > within.start.timestamp()
        ],
        segments=[stretch for stretch in stretches if stretch.start < within.end and stretch.end > within.start],
    )


def _booking_use(booking: Reservation, category: Use, result: BookingResult, sessions: Sequence[tuple[str, Slot]]) -> BookingUse:
    slot = Slot(*_ends(booking.span))
    return BookingUse(
        booking_id=booking.id,
        start=slot.start,
        end=slot.end,
        category=category.value,
        status=result.status.value,
        eff_s=result.eff_s,
        session_ids=[key for key, span in sessions if span.overlaps(slot)],
    )


def _sessions(session: Session, resource_id: str, within: Slot) -> dict[str, list[tuple[str, Slot]]]:
    """By booking of the unit or of a part of it, the sessions of what it takes."""
    kin, runs = kin_of(session, resource_id), sessions_of_resource(session, resource_id, within=within)
    by_taker: dict[str, list[tuple[str, Slot]]] = defaultdict(list)
    takers = {part_id: kin.users_of(part_id) for part_id in kin.parts}
    for run in runs:
        for taker in takers[run.resource_id] if run.starts_at < run.until else ():
            by_taker[taker].append((run.id, Slot(run.starts_at, run.until)))
    return {row.id: by_taker[row.resource_id] for row in bookings_of_any(session, kin.every, within=within)}


def _ends(span: Span) -> tuple[datetime, datetime]:
    return datetime.fromtimestamp(span[0], UTC), datetime.fromtimestamp(span[1], UTC)


def get_revision(session: Session, revision_id: str) -> Revision:
    """Raises: NotFound."""
    if row := session.get(Revision, revision_id):
        return row
    raise NotFound(kind="evaluation")


def revisions_by_ids(session: Session, ids: Collection[str]) -> Sequence[Revision]:
    return session.scalars(select(Revision).where(Revision.id.in_(ids)).order_by(Revision.period, Revision.number)).all()


def revisions_of(session: Session, institution_id: str, *, period: str, scheme: str) -> Sequence[Revision]:
    """All revisions of one evaluation, oldest first."""
    return session.scalars(
        select(Revision)
        .where(Revision.institution_id == institution_id, Revision.period == period, Revision.scheme == scheme)
        .order_by(Revision.number)
    ).all()


def latest_revisions(session: Session, *, period: str, scheme: str) -> Sequence[Revision]:
    """The newest revision of each institution."""
    newest = (
        select(Revision.institution_id, func.max(Revision.number).label("number"))
        .where(Revision.period == period, Revision.scheme == scheme)
        .group_by(Revision.institution_id)
        .subquery()
    )
    return session.scalars(
        select(Revision)
        .join(newest, (newest.c.institution_id == Revision.institution_id) & (newest.c.number == Revision.number))
        .where(Revision.period == period, Revision.scheme == scheme)
        .order_by(Revision.institution_id)
    ).all()


def published_periods(session: Session) -> Sequence[tuple[str, str]]:
    """(period, scheme) of everything published, newest period first."""
    rows = session.execute(select(Revision.period, Revision.scheme).distinct().order_by(Revision.period.desc(), Revision.scheme))
    return [(period, scheme) for period, scheme in rows]


def ranking(session: Session, *, period: str, scheme: str) -> list[Ranked]:
    """Newest revisions, best first: rounded total, then the scheme's tie-break (kept in `document`), then id."""
    names = {row.id: row.name for row in session.scalars(select(Institution))}
    order = sorted(latest_revisions(session, period=period, scheme=scheme), key=_rank)
    return [Ranked(place, row.institution_id, names[row.institution_id], row) for place, row in enumerate(order, 1)]


def _rank(row: Revision) -> tuple[Fraction, list[Fraction], str]:
    tie = row.document.get("tie", {}).get(row.institution_id, [])
    return -Fraction(row.total), [-Fraction(value) for value in tie], row.institution_id


def evaluation(session: Session, period: str, scheme: str = DEFAULT) -> dict[str, Any]:
    """`{"period", "scheme", "from", "to", "items": [{"id", "institution_id", "institution", "place", "revision", "total",
    "grade", "gates", "indicators", "metrics", "inputs_hash", "cut_off", "published_at"}]}` of what is published.

    Raises: UnknownScheme, Invalid (no such period).
    """
    slot = period_slot(load_scheme(scheme), period)
    items = [_item(ranked) for ranked in ranking(session, period=period, scheme=scheme)]
    return {
        "period": period,
        "scheme": scheme,
        "from": slot.start.isoformat(),
        "to": slot.end.isoformat(),
        "items": items,
    }


def _item(ranked: Ranked) -> dict[str, Any]:
    row = ranked.revision
    scores = row.document["scores"].get(row.institution_id, {})
    return {
        "id": row.id,
        "institution_id": row.institution_id,
        "institution": ranked.institution,
        "place": ranked.place,
        "revision": row.number,
        "total": row.total,
        "grade": row.grade,
        "gates": scores.get("gates", []),
        "missing": scores.get("missing", []),
        "indicators": scores.get("indicators", {}),
        "metrics": row.document["organisations"].get(row.institution_id, {}),
        "inputs_hash": row.inputs_hash,
        "cut_off": row.cut_off.isoformat(),
        "published_at": row.created_at.isoformat(),
    }


def manual_entries(
    session: Session, *, period: str, scheme: str, institution_ids: Collection[str] | None = None
) -> Sequence[ManualEntry]:
    """All entries, oldest first; the last of an indicator counts."""
    found = select(ManualEntry).where(ManualEntry.period == period, ManualEntry.scheme == scheme)
    if institution_ids is not None:
        found = found.where(ManualEntry.institution_id.in_(institution_ids))
    return session.scalars(found.order_by(ManualEntry.entered_at, ManualEntry.id)).all()


def entered_values(entries: Sequence[ManualEntry]) -> dict[str, dict[str, Fraction]]:
    """By institution and indicator, the newest entry's value."""
    values: dict[str, dict[str, Fraction]] = {}
    for entry in entries:
        values.setdefault(entry.institution_id, {})[entry.indicator] = Fraction(entry.value)
    return values


def entered_evidence(entries: Sequence[ManualEntry]) -> dict[tuple[str, str], str]:
    """By institution and indicator, what the newest entry refers to."""
    return {(entry.institution_id, entry.indicator): entry.evidence for entry in entries}
