"""Writes of series: every occurrence by the rules of a single booking, in one transaction."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from booking import queries, terms
from booking.admission import SlotRefused, Units, Wish, decide, find_ways_out, use_of
from booking.beside import actions as beside
from booking.occupancy import Ledger, Taken
from booking.places import Place, lock_place
from booking.recurrence import Skipped, occurrences
from booking.states import BookingState
from booking.tables import Booking, BookingSeries, OnConflict
from booking.writing import BOOKINGS, CLAIMS, claim_rows, new_booking
from marketplace import audit, outbox
from marketplace.ids import new_id
from marketplace.people import queries as people
from marketplace.refusals import Invalid, Reason, Refused
from marketplace.roles import Role
from marketplace.slot import Slot, union

MOST_REASONS = 50
"""Reasons told of a series that is refused."""
TRIED = 3
"""Occurrences whose own ways out are tried for the whole series."""


@dataclass(frozen=True, slots=True)
class Gap:
    """An occurrence that cannot be had, with the reasons and the busy intervals."""

    slot: Slot
    reasons: Sequence[Reason]
    conflicts: Sequence[Slot] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """A series that was stored: what was granted, in order, and what was left out."""

    series: BookingSeries
    bookings: Sequence[Booking]
    gaps: Sequence[Gap]


class SeriesRefused(Refused):
    """Occurrences that cannot be had, each reason naming its `start`; alternatives are first occurrences with which all can."""

    code = "series_refused"

    def __init__(self, wish: Wish, gaps: Sequence[Gap], alternatives: Sequence[Slot]) -> None:
        named = [
            Reason(reason.code, {**reason.values, "start": gap.slot.start.isoformat()}, reason.override_by)
            for gap in gaps
            for reason in gap.reasons
        ]
        super().__init__(named[:MOST_REASONS], union(slot for gap in gaps for slot in gap.conflicts)[:MOST_REASONS], alternatives)
        self.refusals = [SlotRefused(replace(wish, slot=gap.slot), gap.reasons, gap.conflicts, []) for gap in gaps]
        if self.conflicts:
            self.code = "slot_taken"


def book_series(session: Session, *, wish: Wish, rrule: str, on_conflict: OnConflict, now: datetime) -> Outcome:
    """Book `wish` and its repetitions by an RFC 5545 rule over the resource's wall clock; written with the next flush.

    With REFUSE all or nothing; with SKIP what can be had, at least one. Raises: NotFound, Invalid, SeriesRefused.
    """
    place = lock_place(session, wish.resource_id)
    slots = occurrences(rrule, wish.slot, place.zone)
    ledger = Ledger(queries.taken(session, place.claimed, within=_whole(slots, wish.slot)))
    granted, gaps = _admit(session, place, wish, slots, ledger, now)
    if not granted or (gaps and on_conflict is OnConflict.REFUSE):
        raise SeriesRefused(wish, gaps, list(islice(_ways_out(session, place, wish, rrule, gaps, now), terms.ALTERNATIVES)))
    series = _new_series(place, wish, rrule, on_conflict, gaps, now)
    session.add(series)
    session.flush()
    bookings = [new_booking(place, one, None, now) for one, _ in granted]
    for booking in bookings:
        booking.series_id = series.id
    BOOKINGS.add_objects(session, bookings)
    taken = SeriesRefused(wish, [Gap(wish.slot, [Reason("slot_taken")], [wish.slot])], [])
    _claim(session, place, bookings, [units for _, units in granted], taken)
    _record(session, series, bookings, wish.override, now)
    return Outcome(series, bookings, gaps)


def _claim(session: Session, place: Place, bookings: Sequence[Booking], units: Sequence[Units], taken: Exception) -> None:
    pairs = list(zip(bookings, units, strict=True))
    if place.rules.waive_own_buffers:
        for booking, chosen in pairs:
            beside.claim(session, place, booking, chosen, taken=taken)
        return
    rows = [row for one, chosen in pairs for row in claim_rows(one, chosen, place.rules.buffers)]
    CLAIMS.add(session, rows, refused={"claims_no_overlap": taken})


def _whole(slots: Sequence[Slot | Skipped], first: Slot) -> Slot:
    return Slot(first.start, max(slot.end for slot in slots if isinstance(slot, Slot)))


def _admit(
    session: Session, place: Place, wish: Wish, slots: Sequence[Slot | Skipped], ledger: Ledger, now: datetime
) -> tuple[list[tuple[Wish, Units]], list[Gap]]:
    """What is granted and what is not; each occurrence that is granted stands in the way of the later ones."""
    granted: list[tuple[Wish, Units]] = []
    gaps: list[Gap] = []
    for slot in slots:
        if isinstance(slot, Skipped):
            gaps.append(Gap(_nearest(slot, place.zone, wish.slot), [Reason("no_such_time")]))
            continue
        one = replace(wish, slot=slot)
        reach = slot.widen(queries.LONGEST_BUFFER, queries.LONGEST_BUFFER)
        around = ledger.around(place.claimed, reach)
        found = decide(session, place, one, around, now=now, beside=[use_of(other) for other, _ in granted])
        if found.reasons:
            gaps.append(Gap(slot, found.reasons, found.clashes))
            continue
        granted.append((one, found.units))
        for resource_id, units in found.units.items():
            for unit in units:
                for lane, span in enumerate(place.rules.buffers.spans(slot)):
                    ledger.add(resource_id, Taken(f"occurrence {len(granted)}", unit, lane, span))
    return granted, gaps


def _nearest(skipped: Skipped, zone: ZoneInfo, like: Slot) -> Slot:
    """Where a wall-clock time that does not exist would lie by the offset before the change."""
    start = skipped.start.replace(tzinfo=zone).astimezone(UTC)
    return Slot(start, start + like.duration)


def _ways_out(session: Session, place: Place, wish: Wish, rrule: str, gaps: Sequence[Gap], now: datetime) -> Iterator[Slot]:
    """First occurrences with which every one would be granted, out of the ways out of those that were not."""
    tried: set[Slot] = set()
    for gap in gaps[:TRIED]:
        for way in find_ways_out(session, place, replace(wish, slot=gap.slot), now=now):
            first = wish.slot.shift(way.start - gap.slot.start)
            if first not in tried and _all_fit(session, place, replace(wish, slot=first), rrule, now):
                yield first
            tried.add(first)


def _all_fit(session: Session, place: Place, wish: Wish, rrule: str, now: datetime) -> bool:
    try:
        slots = occurrences(rrule, wish.slot, place.zone)
    except Invalid:
        return False
    ledger = Ledger(queries.taken(session, place.claimed, within=_whole(slots, wish.slot)))
    return not _admit(session, place, wish, slots, ledger, now)[1]


def _new_series(
    place: Place, wish: Wish, rrule: str, on_conflict: OnConflict, gaps: Sequence[Gap], now: datetime
) -> BookingSeries:
    return BookingSeries(
        id=new_id("ser"),
        resource_id=place.resource_id,
        institution_id=place.institution_id,
        organisation_id=wish.organisation_id,
        person_id=wish.person_id,
        starts_at=wish.slot.start,
        ends_at=wish.slot.end,
        rrule=rrule.strip(),
        on_conflict=on_conflict,
        gaps=[
            {
                "start": gap.slot.start.isoformat(),
                "end": gap.slot.end.isoformat(),
                "reasons": [reason.code for reason in gap.reasons],
            }
            for gap in gaps
        ],
        created_at=now,
    )


def _record(session: Session, series: BookingSeries, bookings: Sequence[Booking], override: str | None, now: datetime) -> None:
    """One entry and one message for all."""
    audit.record(
        session,
        actor_id=series.person_id,
        action="book_series",
        object_kind="series",
        object_id=series.id,
        institution_id=series.institution_id,
        before=None,
        after={
            "rrule": series.rrule,
            "state": bookings[0].state.value,
            "bookings": [booking.id for booking in bookings],
            "override": override,
        },
        now=now,
    )
    asked = bookings[0].state is BookingState.REQUESTED
    data = {
        "booking_id": bookings[0].id,
        "resource_id": series.resource_id,
        "start": bookings[0].starts_at.isoformat(),
        "end": bookings[0].ends_at.isoformat(),
        "series_id": series.id,
        "count": len(bookings),
    }
    kind = "series_requested" if asked else "series_booked"
    outbox.queue(session, person_id=series.person_id, kind=kind, data=data, cause=f"{series.id}:booked", now=now)
    for manager in people.staff_of(session, series.institution_id, [Role.MANAGER]) if asked else ():
        if manager != series.person_id:
            cause = f"{series.id}:request:{manager}"
            outbox.queue(session, person_id=manager, kind="request_to_decide", data=data, cause=cause, now=now)
