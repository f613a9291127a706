"""What a booking really used: telemetry and signed statements put together in one place, and written as the next version."""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from booking import queries as booking
from booking.states import BookingState
from booking.tables import Booking
from devices import queries
from devices.attestations import queries as attestations
from devices.attestations.statements import Statement
from devices.discrepancies.queries import known_sessions
from devices.matching import EARLY_GRACE, OVERRUN_MAX, Booked, Use, match
from devices.segments import Segment, State, joined
from devices.sessions import Grade
from devices.tables import ConfirmedUse
from marketplace.ids import new_id
from marketplace.slot import Slot, subtract, union


def around(row: Booking) -> Slot:
    """As far as the use of the booking and of its neighbours may reach."""
    return row.slot.widen(EARLY_GRACE + OVERRUN_MAX, OVERRUN_MAX + EARLY_GRACE)


def measured_use(session: Session, row: Booking, *, stated: Statement | None = None) -> Use:
    """The booking matched together with its neighbours, so that no second of run goes to two.

    With what both sides have signed of each; `stated` counts in place of what was signed of this booking.
    """
    within = around(row)
    held = {BookingState.CONFIRMED, *queries.OUTCOMES.values()}
    rows = [
        other
        for other in booking.bookings_of_resource(session, row.resource_id, within=within)
        if other.state in held or other.id == row.id
    ]
    signed = attestations.signed_statements(session, [other.id for other in rows])
    if stated is not None:
        signed[row.id] = stated
    neighbours = [
        Booked(other.id, other.slot, said.stretches, said.unused)
        if (said := signed.get(other.id))
        else Booked(other.id, other.slot)
        for other in rows
    ]
    uses = match(queries.segments_of_resource(session, row.resource_id, within=within), neighbours, down=down(session, row))
    return next(use for use in uses if use.booking_id == row.id)


def down(session: Session, row: Booking) -> list[Slot]:
    """Maintenance and breakdown around the booking."""
    within = around(row)
    outages = booking.outages_of(session, row.resource_id, within=within)
    return [piece for outage in outages if (piece := outage.slot.clip(within))]


def seen_around(session: Session, row: Booking) -> list[Segment]:
    """What telemetry says around the booking; where nothing is said it is unknown."""
    return queries.segments_of_resource(session, row.resource_id, within=around(row))


def reach(row: Booking) -> Slot:
    """From the earliest start to the longest overrun."""
    return row.slot.widen(EARLY_GRACE, OVERRUN_MAX)


def extent(row: Booking, use: ConfirmedUse) -> Slot:
    """From the first of what was used to the last, the booked time whole."""
    starts = [row.starts_at, *(datetime.fromisoformat(piece["start"]) for piece in use.pieces)]
    ends = [row.ends_at, *(datetime.fromisoformat(piece["end"]) for piece in use.pieces)]
    return Slot(min(starts), max(ends))


def known_around(session: Session, row: Booking) -> list[Segment]:
    """The whole reach of the booking in order: what telemetry says, what was down, and UNKNOWN where neither is."""
    within, stopped = reach(row), down(session, row)
    seen = [Segment(part, one.state) for one in seen_around(session, row) for part in subtract([one.slot], stopped)]
    found = [*seen, *(Segment(slot, State.FAULT) for slot in union(stopped))]
    blank = [Segment(slot, State.UNKNOWN) for slot in subtract([within], [one.slot for one in found])]
    clipped = [Segment(piece, one.state) for one in (*found, *blank) if (piece := one.slot.clip(within))]
    return joined(sorted(clipped, key=lambda one: one.slot))


def silent(session: Session, row: Booking) -> list[Slot]:
    """Where telemetry says nothing, from the earliest start to the longest overrun: only of this something can be stated."""
    within = reach(row)
    known = [one.slot for one in seen_around(session, row) if one.state is not State.UNKNOWN]
    held = {BookingState.CONFIRMED, *queries.OUTCOMES.values()}
    others = booking.bookings_of_resource(session, row.resource_id, within=within)
    taken = [one.slot for one in others if one.id != row.id and one.state in held]
    return subtract([within], [*known, *down(session, row), *subtract(taken, [row.slot])])


def write_use(session: Session, row: Booking, use: Use, before: ConfirmedUse | None, now: datetime) -> ConfirmedUse:
    """The next version. A use that rests on signatures is graded as a correction by hand."""
    runs = [run for _, run in known_sessions(session, row.resource_id, row.slot)]
    grades = [Grade(run.grade) for run in runs] + ([Grade.D] if use.attested else [])
    written = ConfirmedUse(
        id=new_id("cu"),
        booking_id=row.id,
        number=before.number + 1 if before else 1,
        supersedes_id=before.id if before else None,
        created_at=now,
        grade=max(grades, default=None),
        energy_wh=sum(run.energy_wh for run in runs),
        **_figures(row.slot, use),
    )
    session.add(written)
    session.flush()
    return written


def _figures(slot: Slot, use: Use) -> dict[str, Any]:
    spans = {
        "confirmed_s": use.confirmed,
        "early_s": use.early,
        "overrun_s": use.overrun,
        "unverified_s": use.unverified,
        "fault_s": use.fault,
        "attested_s": use.attested,
    }
    pieces = [
        {"start": piece.slot.start.isoformat(), "end": piece.slot.end.isoformat(), "state": piece.state.value}
        for piece in use.pieces
    ]
    seconds = {name: round(span.total_seconds()) for name, span in spans.items()}
    return {"verdict": use.verdict, "booked_s": slot.seconds, "pieces": pieces, **seconds}


def differs(before: ConfirmedUse, row: Booking, use: Use) -> bool:
    """Whether a figure is another; the pieces matter too where any of them rests on signatures."""
    figures = _figures(row.slot, use)
    attested = before.attested_s or figures["attested_s"]
    return any(getattr(before, name) != value for name, value in figures.items() if attested or name != "pieces")
