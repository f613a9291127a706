"""What a booking really used: telemetry and signed statements put together in one place, and written as the next version."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from booking import queries as booking
from booking.lines import queries as lines
from booking.lines.queries import Kin
from booking.places import rules_of_versions
from booking.states import BookingState
from booking.tables import Booking
from devices import queries
from devices.attestations import queries as attestations
from devices.attestations.statements import Statement
from devices.discrepancies.queries import known_sessions
from devices.matching import EARLY_GRACE, OVERRUN_MAX, Booked, Part, Use, match_parts
from devices.segments import Segment, State, joined
from devices.sessions import Grade
from devices.submeters.inclusion import energy_of
from devices.submeters.queries import inclusions_of
from devices.tables import ConfirmedUse
from marketplace.ids import new_id
from marketplace.slot import Slot, subtract, union

HELD = frozenset({BookingState.CONFIRMED, *queries.OUTCOMES.values()})
"""Who had the time, whatever became of it."""


def around(row: Booking) -> Slot:
    """As far as the use of the booking and of its neighbours may reach."""
    return row.slot.widen(EARLY_GRACE + OVERRUN_MAX, OVERRUN_MAX + EARLY_GRACE)


def measured_use(session: Session, row: Booking, *, stated: Statement | None = None) -> Use:
    """The booking matched on each part that it takes, together with whoever else uses that: no second of run goes to two.

    With what both sides have signed of each; `stated` counts in place of what was signed of this booking.
    """
    return _matched(session, row, row.slot, stated)


def use_so_far(session: Session, row: Booking, *, now: datetime) -> Use:
    """The same of the time of a running booking that is past."""
    return _matched(session, row, Slot(row.starts_at, min(now, row.ends_at)), None)


def _matched(session: Session, row: Booking, slot: Slot, stated: Statement | None) -> Use:
    within, kin = around(row), lines.kin_of(session, row.resource_id)
    rows = booking.bookings_of_any(session, kin.every, within=within)
    held = [other for other in rows if other.state in HELD or other.id == row.id]
    signed = attestations.signed_statements(session, [other.id for other in held])
    if stated is not None:
        signed[row.id] = stated
    longest = overtimes(session, held)
    booked: dict[str, list[Booked]] = defaultdict(list)
    for other in held:
        one = Booked(other.id, slot if other.id == row.id else other.slot, overtime=longest[other.id])
        if said := signed.get(other.id):
            one = replace(one, attested=said.stretches, attested_unused=said.unused)
        booked[other.resource_id].append(one)
    return match_parts(row.id, _parts(session, kin, booked, within))


def overtimes(session: Session, rows: Collection[Booking]) -> dict[str, timedelta]:
    """By booking, how long an unbroken run past its end is its use, by the version of the rules that it was accepted under."""
    rules = rules_of_versions(session, {row.rules_id for row in rows})
    own = {row.id: rules[row.rules_id].overtime for row in rows}
    return {booking_id: OVERRUN_MAX if found is None else found for booking_id, found in own.items()}


def _parts(session: Session, kin: Kin, booked: Mapping[str, Sequence[Booked]], within: Slot) -> list[Part]:
    """The resource and each part of it that is measured or was stopped; where nothing is measured, it is blind itself."""
    seen = queries.segments_of_parts(session, kin, within=within)
    stopped: dict[str, list[Slot]] = defaultdict(list)
    for outage in booking.outages_of_any(session, kin.parts, within=within):
        if piece := outage.slot.clip(within):
            stopped[outage.resource_id].append(piece)
    return [
        Part(
            segments=seen.get(part_id, ()),
            bookings=[one for user in sorted(kin.users_of(part_id)) for one in booked.get(user, ())],
            down=stopped.get(part_id, ()),
            stopped=[piece for line_id in kin.way_up(part_id) for piece in stopped.get(line_id, ())],
            sensed=part_id in seen or not seen,
        )
        for part_id in kin.parts
        if part_id in seen or part_id in stopped or part_id == kin.resource_id
    ]


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
    """Where telemetry says nothing, from the earliest start to the longest overtime: only of this something can be stated."""
    within = row.slot.widen(EARLY_GRACE, overtimes(session, [row])[row.id])
    known = [one.slot for one in seen_around(session, row) if one.state is not State.UNKNOWN]
    others = booking.bookings_of_any(session, lines.kin_of(session, row.resource_id).every, within=within)
    taken = [one.slot for one in others if one.id != row.id and one.state in HELD]
    return subtract([within], [*known, *down(session, row), *subtract(taken, [row.slot])])


def write_use(session: Session, row: Booking, use: Use, before: ConfirmedUse | None, now: datetime) -> ConfirmedUse:
    """The next version. A use that rests on signatures is graded as a correction by hand."""
    parts = lines.parts_of(session, [row.resource_id])[row.resource_id]
    runs = known_sessions(session, parts, row.slot)
    grades = [Grade(run.grade) for _, run in runs] + ([Grade.D] if use.attested else [])
    written = ConfirmedUse(
        id=new_id("cu"),
        booking_id=row.id,
        number=before.number + 1 if before else 1,
        supersedes_id=before.id if before else None,
        created_at=now,
        grade=max(grades, default=None),
        energy_wh=energy_of(runs, inclusions_of(session, {device_id for device_id, _ in runs})),
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
