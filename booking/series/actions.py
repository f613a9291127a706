"""Writes of series: every occurrence by the rules of a single booking, in one transaction."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from booking import terms
from booking.actions import record_override
from booking.admission import SlotRefused, Units, Wish, decide, find_ways_out, of_its_own, use_of
from booking.beside import actions as beside
from booking.places import Place, get_place, lock_place
from booking.recurrence import Skipped, occurrences
from booking.series import telling
from booking.standing import Standing
from booking.tables import Booking, BookingSeries, OnConflict
from booking.writing import BOOKINGS, new_booking, spans_of
from marketplace import audit
from marketplace.ids import new_id
from marketplace.refusals import Invalid, Reason, Refused
from marketplace.slot import Slot, union

MOST_REASONS = 50
"""Reasons told of a series that is refused; of further occurrences how many they are."""
TRIED = 3
"""Occurrences whose own ways out are tried for the whole series."""


@dataclass(frozen=True, slots=True)
class Gap:
    """An occurrence that cannot be had, with the reasons and the busy intervals."""

    slot: Slot
    reasons: Sequence[Reason]
    conflicts: Sequence[Slot] = ()

    def row(self) -> dict[str, Any]:
        """As the series keeps it."""
        codes = [reason.code for reason in self.reasons]
        return {"start": self.slot.start.isoformat(), "end": self.slot.end.isoformat(), "reasons": codes}


@dataclass(frozen=True, slots=True)
class Granted:
    """An occurrence that is granted, and the units to take."""

    wish: Wish
    units: Units
    aside: Sequence[str] = ()
    """Codes of the rules that were set aside for it."""


Asked = tuple[Wish, Slot | Skipped]
"""An occurrence: where it lies, and for whom and what it is asked."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A series that was stored: what was granted, in order, and what was left out."""

    series: BookingSeries
    bookings: Sequence[Booking]
    gaps: Sequence[Gap]


NO_SUCH_TIME = "no_such_time"
"""Of an occurrence that the clocks leave out: it cannot be had later either."""
OCCURRENCE = "occurrence "
"""What owns the time of those granted before in the same request begins so."""


class SeriesRefused(Refused):
    """Occurrences that cannot be had, each reason naming its `start`; alternatives are first occurrences with which all can."""

    code = "series_refused"

    def __init__(self, wish: Wish, gaps: Sequence[Gap], alternatives: Sequence[Slot]) -> None:
        named = [
            Reason(reason.code, {**reason.values, "start": gap.slot.start.isoformat()}, reason.override_by)
            for gap in gaps
            for reason in gap.reasons
        ]
        told = named[:MOST_REASONS]
        more = len({gap.slot.start for gap in gaps}) - len({reason.values["start"] for reason in told})
        told += [Reason("more_times", {"more": more})] if more else []
        super().__init__(told, union(slot for gap in gaps for slot in gap.conflicts)[:MOST_REASONS], alternatives)
        self.refusals = [SlotRefused(replace(wish, slot=gap.slot), gap.reasons, gap.conflicts, []) for gap in gaps]
        if self.conflicts:
            self.code = "slot_taken"


def book_series(session: Session, *, wish: Wish, rrule: str, on_conflict: OnConflict, now: datetime) -> Outcome:
    """Book `wish` and its repetitions by an RFC 5545 rule over the resource's wall clock; written with the next flush.

    With REFUSE all or nothing; with SKIP what can be had, at least one. Raises: NotFound, Invalid, SeriesRefused.
    """
    place = lock_place(session, wish.resource_id)
    granted, gaps = _judged(session, place, wish, rrule, on_conflict, now)
    series = _new_series(place, wish, rrule, on_conflict, gaps, now)
    session.add(series)
    session.flush()
    bookings = add_bookings(session, place, series, granted, now)
    claim_all(session, place, bookings, [one.units for one in granted], wish=wish)
    record_overrides(session, list(zip(bookings, granted, strict=True)), wish.person_id, now)
    _record(session, series, bookings, wish.override, now)
    telling.booked(session, series, bookings, now)
    return Outcome(series, bookings, gaps)


def foresee_series(
    session: Session, *, wish: Wish, rrule: str, on_conflict: OnConflict, now: datetime
) -> tuple[list[Slot], list[Gap]]:
    """What `book_series` would book and leave out at this moment; nothing is locked or stored.

    Raises: NotFound, Invalid, SeriesRefused.
    """
    granted, gaps = _judged(session, get_place(session, wish.resource_id), wish, rrule, on_conflict, now)
    return [one.wish.slot for one in granted], gaps


def _judged(
    session: Session, place: Place, wish: Wish, rrule: str, on_conflict: OnConflict, now: datetime
) -> tuple[list[Granted], list[Gap]]:
    """Raises: Invalid, SeriesRefused."""
    with_first = _with_first(place, wish, rrule)
    found = admit_all(session, place, with_first(wish.slot), now=now)
    granted = [one for one in found if isinstance(one, Granted)]
    gaps = [one for one in found if isinstance(one, Gap)]
    if not granted or (gaps and on_conflict is OnConflict.REFUSE):
        raise SeriesRefused(wish, gaps, ways_out(session, place, wish, gaps, with_first, now=now))
    return granted, gaps


def add_bookings(
    session: Session, place: Place, series: BookingSeries, granted: Sequence[Granted], now: datetime
) -> list[Booking]:
    """Rows of new bookings of the series, without their claims."""
    rows = [{**new_booking(place, one.wish, None, now), "series_id": series.id} for one in granted]
    return BOOKINGS.add_objects(session, rows)


def claim_all(session: Session, place: Place, bookings: Sequence[Booking], units: Sequence[Units], *, wish: Wish) -> None:
    """Raises, at the flush: SeriesRefused, should the ledger itself refuse what was admitted."""
    taken = SeriesRefused(wish, [Gap(wish.slot, [Reason("slot_taken")], [wish.slot])], [])
    beside.claim_all(session, place, bookings, units, taken=taken)


def admit_all(
    session: Session, place: Place, asked: Sequence[Asked], *, now: datetime, ignoring: Collection[str] = ()
) -> list[Granted | Gap]:
    """The verdict on each, in their order; one that is granted stands in the way of the later ones.

    Claims and uses of the bookings `ignoring` count for nothing.
    """
    return list(_verdicts(session, place, asked, now, ignoring)) if asked else []


def _verdicts(
    session: Session, place: Place, asked: Sequence[Asked], now: datetime, ignoring: Collection[str]
) -> Iterator[Granted | Gap]:
    """One after the other, so that who wants to hear no refusal need not hear the rest."""
    slots = [slot if isinstance(slot, Slot) else wish.slot for wish, slot in asked]
    reach = Slot(min(slot.start for slot in slots), max(slot.end for slot in slots))
    standing = Standing(session, place, reach=reach, ignoring=ignoring)
    granted = 0
    for wish, slot in asked:
        if isinstance(slot, Skipped):
            yield Gap(_nearest(slot, place.zone, wish.slot), [Reason(NO_SUCH_TIME)])
            continue
        one = replace(wish, slot=slot)
        around = standing.around(slot)
        verdict = decide(session, place, one, around, now=now, ignoring=ignoring, standing=standing)
        if verdict.clashes and granted:
            others = {at: [taken for taken in held if not taken.owner.startswith(OCCURRENCE)] for at, held in around.items()}
            if not decide(session, place, one, others, now=now, ignoring=ignoring, standing=standing).clashes:
                verdict = replace(verdict, reasons=of_its_own(verdict.reasons), clashes=())
        if verdict.reasons:
            yield Gap(slot, verdict.reasons, verdict.clashes)
            continue
        yield Granted(one, verdict.units, verdict.aside)
        granted += 1
        standing.grant(f"{OCCURRENCE}{granted}", use_of(one), _spans(place, verdict.units, slot))


def _spans(place: Place, units: Units, slot: Slot) -> dict[tuple[str, int], list[Slot]]:
    """What is claimed of each unit, buffers included."""
    return {
        (resource_id, unit): spans_of(resource_id, slot, place.rules.buffers)
        for resource_id, chosen in units.items()
        for unit in chosen
    }


def _nearest(skipped: Skipped, zone: ZoneInfo, like: Slot) -> Slot:
    """Where a wall-clock time that does not exist would lie by the offset before the change."""
    start = skipped.start.replace(tzinfo=zone).astimezone(UTC)
    return Slot(start, start + like.duration)


def ways_out(
    session: Session,
    place: Place,
    wish: Wish,
    gaps: Sequence[Gap],
    with_first: Callable[[Slot], Sequence[Asked]],
    *,
    now: datetime,
    ignoring: Collection[str] = (),
) -> list[Slot]:
    """First occurrences with which every one would be granted, out of the ways out of those that were not.

    `with_first` gives the occurrences of a series that begins there. Raises nothing it raises but Invalid, which is no way.
    """

    def fitting() -> Iterator[Slot]:
        tried: set[Slot] = set()
        for gap in gaps[:TRIED]:
            for way in find_ways_out(session, place, replace(wish, slot=gap.slot), now=now, ignoring=ignoring):
                first = wish.slot.shift(way.start - gap.slot.start)
                if first not in tried and _all_fit(session, place, with_first, first, now, ignoring):
                    yield first
                tried.add(first)

    return list(islice(fitting(), terms.ALTERNATIVES))


def _all_fit(
    session: Session,
    place: Place,
    with_first: Callable[[Slot], Sequence[Asked]],
    first: Slot,
    now: datetime,
    ignoring: Collection[str],
) -> bool:
    try:
        asked = with_first(first)
    except Invalid:
        return False
    window = place.rules.window(now)
    if any(isinstance(slot, Skipped) or not (wish.override or window.contains(slot)) for wish, slot in asked):
        return False  # told without judging those before it
    return all(isinstance(one, Granted) for one in _verdicts(session, place, asked, now, ignoring))


def _with_first(place: Place, wish: Wish, rrule: str) -> Callable[[Slot], Sequence[Asked]]:
    return lambda first: [(replace(wish, slot=first), slot) for slot in occurrences(rrule, first, place.zone)]


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
        gaps=[gap.row() for gap in gaps],
        created_at=now,
        version=1,
    )


def record_overrides(session: Session, made: Sequence[tuple[Booking, Granted]], actor_id: str, now: datetime) -> None:
    """Which rules were set aside for which of the bookings, by whom and why."""
    for booking, one in made:
        record_override(session, booking, one.aside, one.wish.override, now, actor_id)


def _record(session: Session, series: BookingSeries, bookings: Sequence[Booking], override: str | None, now: datetime) -> None:
    """One entry for all."""
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
