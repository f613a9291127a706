"""Edits of series: "this and following" splits it, "all" changes all that is ahead."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from booking import actions, queries
from booking.actions import CancelledBy, facts
from booking.admission import Wish
from booking.beside import actions as beside
from booking.outages import actions as outages
from booking.outages.plans import wish_of
from booking.places import Place, lock_place
from booking.recurrence import Skipped, occurrences
from booking.series import queries as series_queries
from booking.series import telling
from booking.series.actions import (
    Asked,
    Gap,
    Granted,
    SeriesRefused,
    add_bookings,
    admit_all,
    claim_all,
    record_overrides,
    ways_out,
)
from booking.series.pattern import following, wall, with_count
from booking.states import HOLDING, BookingState, Move, after
from booking.tables import Booking, BookingSeries, Claim, MovedOccurrence, OnConflict
from booking.telling import Told
from marketplace import audit
from marketplace.ids import new_id
from marketplace.refusals import NotFound, Stale, WrongState
from marketplace.slot import Slot


@dataclass(frozen=True, slots=True)
class Editor:
    """Who edits, and which of the bookings are theirs to change."""

    actor_id: str
    bookings: Collection[str]
    by: CancelledBy


@dataclass(frozen=True, slots=True)
class Change:
    """What an edit asks for.

    `since` is the first booking that changes, None: the first that has not begun. `slot` is where it lies from now on. Without
    `rrule` those that follow are shifted by the same wall-clock time and last as long; with one they are what it says.
    """

    since: str | None
    slot: Slot
    rrule: str | None
    on_conflict: OnConflict
    override: str | None = None
    """Why the publisher's own rules do not count this time; only who may set them aside gives one."""


@dataclass(frozen=True, slots=True)
class Edited:
    """The series of what changed: its bookings that moved or stayed, were added and ended; and what cannot be had."""

    series: BookingSeries
    moved: Sequence[Booking]
    added: Sequence[Booking]
    ended: Sequence[Booking]
    gaps: Sequence[Gap]
    left: Slot
    """From the first to the last of the times they had."""


@dataclass(frozen=True, slots=True)
class _Occurrence:
    """One of the series as it shall be, and the booking that is to lie there; none yet where there was a gap."""

    wish: Wish
    slot: Slot | Skipped
    booking: Booking | None


@dataclass(frozen=True, slots=True)
class _Present:
    """The part of the series that changes: the bookings and where the rule has each on the wall clock, the rule's occurrences
    from there on, which of them are gaps; and how many lie before, which stay: none where not one of those was ever booked."""

    bookings: Sequence[Booking]
    at: Mapping[str, datetime]
    places: Sequence[Slot | Skipped]
    gaps: Collection[datetime]
    before: int
    zone: ZoneInfo

    @property
    def since(self) -> datetime:
        return wall(self.places[0], self.zone)


def edit_series(session: Session, *, series_id: str, version: int, change: Change, editor: Editor, now: datetime) -> Edited:
    """Put what is ahead of a series elsewhere, by every rule of creation; its own claims do not stand in its way.

    What is past or was cancelled stays so. A booking that was moved alone comes back into the series; one that an outage took
    to another resource stays there. With REFUSE all that is booked is had or nothing changes; with SKIP a booking whose new
    time cannot be had ends and is a gap. Gaps are tried again.
    Raises: NotFound, Stale, WrongState (it is not ahead), Invalid, SeriesRefused.
    """
    series = queries.get_series(session, series_id)
    place = lock_place(session, series.resource_id)
    session.refresh(series)
    if series.version != version:
        raise Stale(version=series.version)
    present = _present(session, place, series, change, editor, now)
    rrule, wanted = _laid_out(series, present, change.slot, change.rrule)
    with session.begin_nested():
        _leave(session, place, present.bookings)
        found = _admit(session, place, series, present, wanted, change, now)
    target = _rewrite(session, series, present, rrule, change, found, now)
    return _carry_out(session, place, target, present, list(zip(wanted, found, strict=True)), editor, now)


def _present(session: Session, place: Place, series: BookingSeries, change: Change, editor: Editor, now: datetime) -> _Present:
    rows = series_queries.bookings_of(session, series.id)
    homes = series_queries.moved_from(session, series.id)
    at = {row.id: wall(homes.get(row.id, row.slot), place.zone) for row in rows}
    places = occurrences(series.rrule, series.slot, place.zone)
    walls = [wall(one, place.zone) for one in places]
    ahead = {row.id for row in rows if row.state in HOLDING and row.starts_at > now and row.resource_id == place.resource_id}
    changing = [row for row in rows if row.id in ahead & set(editor.bookings) and at[row.id] in walls]
    since = at[_first(rows, changing, at, change.since, now).id]
    first = walls.index(since)
    return _Present(
        bookings=sorted((row for row in changing if at[row.id] >= since), key=lambda row: at[row.id]),
        at=at,
        places=places[first:],
        gaps={_gap_wall(gap, place.zone) for gap in series.gaps},
        before=first if any(at[row.id] < since for row in rows) else 0,
        zone=place.zone,
    )


def _first(
    rows: Sequence[Booking], changing: Sequence[Booking], at: Mapping[str, datetime], since: str | None, now: datetime
) -> Booking:
    """Raises: NotFound, WrongState."""
    if since is None:
        if not changing:
            raise WrongState(state="over", move="edit")
        return min(changing, key=lambda row: at[row.id])
    named = next((row for row in rows if row.id == since), None)
    if named is None:
        raise NotFound(kind="booking")
    if named not in changing:
        raise WrongState(state="begun" if named.starts_at <= now else named.state.value, move="edit")
    return named


def _gap_wall(gap: Mapping[str, str], zone: ZoneInfo) -> datetime:
    return datetime.fromisoformat(gap["start"]).astimezone(zone).replace(tzinfo=None)


def _laid_out(series: BookingSeries, present: _Present, first: Slot, rrule: str | None) -> tuple[str, list[_Occurrence]]:
    """The rule and the occurrences when the first of what changes becomes `first`. Raises: Invalid."""
    like = present.bookings[0]
    if rrule is not None:
        by_day = {present.at[row.id].date(): row for row in present.bookings}
        slots = occurrences(rrule, first, present.zone)
        held = [by_day.get(wall(slot, present.zone).date()) for slot in slots]
        return rrule.strip(), [_Occurrence(wish_of(row or like), slot, row) for slot, row in zip(slots, held, strict=True)]
    text, slots = following(series.rrule, present.places, first, present.zone)
    by_wall = {present.at[row.id]: row for row in present.bookings}
    found = []
    for old, slot in zip(present.places, slots, strict=True):
        row = by_wall.get(wall(old, present.zone))
        if row or isinstance(old, Skipped) or wall(old, present.zone) in present.gaps:
            found.append(_Occurrence(wish_of(row or like), slot, row))
    return text, found


def _leave(session: Session, place: Place, bookings: Sequence[Booking]) -> None:
    """Release the claims of all."""
    for booking in bookings:
        actions.lock_operator(session, booking, place)
    if series_queries.waived_in(session, [place.institution_id]):
        beside.leave_all(session, bookings)
        return
    mine = update(Claim).where(Claim.booking_id.in_([one.id for one in bookings]), Claim.active)
    session.execute(mine.values(active=False).execution_options(synchronize_session=False))


def _admit(
    session: Session,
    place: Place,
    series: BookingSeries,
    present: _Present,
    wanted: Sequence[_Occurrence],
    change: Change,
    now: datetime,
) -> list[Granted | Gap]:
    """The verdict on each occurrence, those that have to be had before the gaps that are tried again. Raises: SeriesRefused."""
    own = [one.id for one in present.bookings]

    def asking(one: _Occurrence) -> Asked:
        return replace(one.wish, override=change.override), one.slot

    order = sorted(range(len(wanted)), key=lambda number: not (wanted[number].booking or change.rrule))
    asked = [asking(wanted[number]) for number in order]
    verdicts = dict(zip(order, admit_all(session, place, asked, now=now, ignoring=own), strict=True))
    found = [verdicts[number] for number in range(len(wanted))]
    needed = [one for one, at in zip(found, wanted, strict=True) if at.booking or change.rrule]
    gaps = [one for one in needed if isinstance(one, Gap)]
    if len(gaps) < len(needed) and (not gaps or change.on_conflict is OnConflict.SKIP):
        return found

    def with_first(first: Slot) -> list[Asked]:
        _, shifted = _laid_out(series, present, first, change.rrule)
        return [asking(one) for one in shifted if one.booking or change.rrule]

    wish = replace(wish_of(present.bookings[0], slot=change.slot), override=change.override)
    raise SeriesRefused(wish, gaps, ways_out(session, place, wish, gaps, with_first, now=now, ignoring=own))


def _rewrite(
    session: Session,
    series: BookingSeries,
    present: _Present,
    rrule: str,
    change: Change,
    found: Sequence[Granted | Gap],
    now: datetime,
) -> BookingSeries:
    """The series of what changed: the same one, or its later part where an earlier one stays as it was."""
    earlier = [gap for gap in series.gaps if _gap_wall(gap, present.zone) < present.since]
    gaps = [one.row() for one in found if isinstance(one, Gap)]
    series.version += 1
    if change.since is None or present.before == 0:
        series.slot, series.rrule, series.on_conflict = change.slot, rrule, change.on_conflict
        series.gaps = [*earlier, *gaps]
        return series
    series.rrule, series.gaps = with_count(series.rrule, present.before), earlier
    later = BookingSeries(
        id=new_id("ser"),
        resource_id=series.resource_id,
        institution_id=series.institution_id,
        organisation_id=series.organisation_id,
        person_id=series.person_id,
        starts_at=change.slot.start,
        ends_at=change.slot.end,
        rrule=rrule,
        on_conflict=change.on_conflict,
        gaps=gaps,
        created_at=now,
        version=1,
        split_from=series.id,
    )
    session.add(later)
    return later


def _carry_out(
    session: Session,
    place: Place,
    series: BookingSeries,
    present: _Present,
    wanted: Sequence[tuple[_Occurrence, Granted | Gap]],
    editor: Editor,
    now: datetime,
) -> Edited:
    """Write what was granted: the bookings where they are to lie now, new ones, and the end of those without a place."""
    placed = {at.booking.id for at, _ in wanted if at.booking}
    spare = (row for row in present.bookings if row.id not in placed)
    had = [(at.booking or next(spare, None), one) for at, one in wanted if isinstance(one, Granted)]
    left = Slot(min(row.starts_at for row in present.bookings), max(row.ends_at for row in present.bookings))
    moved = [row for row, _ in had if row]
    changed = [row for row, one in had if row and _put(session, place, series, row, one.wish.slot, editor, now)]
    session.flush()
    added = add_bookings(session, place, series, [one for row, one in had if row is None], now)
    new = iter(added)
    made = [(row or next(new), one) for row, one in had]
    claim_all(session, place, [row for row, _ in made], [one.units for _, one in made], wish=had[0][1].wish)
    record_overrides(session, made, editor.actor_id, now)
    stays = {row.id for row in moved}
    ended = [row for row in present.bookings if row.id not in stays]
    homes = MovedOccurrence.booking_id.in_([row.id for row in present.bookings])
    session.execute(delete(MovedOccurrence).where(homes).execution_options(synchronize_session="fetch"))
    outages.close_what_is_left(session, resource_id=place.resource_id, around=left)
    for row in ended:
        actions.cancel(session, booking_id=row.id, by=editor.by, actor_id=editor.actor_id, now=now, told=Told.TOGETHER)
    _record(session, series, [*changed, *added], ended, editor, now)
    return Edited(series, moved, added, ended, [one for _, one in wanted if isinstance(one, Gap)], left)


def _put(session: Session, place: Place, series: BookingSeries, row: Booking, slot: Slot, editor: Editor, now: datetime) -> bool:
    """Give the booking its place in the series; whether that is another one. A customer's may need a new yes."""
    row.series_id, row.rules_id = series.id, place.rules_id
    row.assisted = place.rules.assistance.attends(wanted=row.assisted)
    if row.slot == slot:
        return False
    before, row.slot = facts(row), slot
    row.version += 1
    asks = editor.by is CancelledBy.CUSTOMER and place.rules.asks(row.organisation_id)
    if asks and row.state is BookingState.CONFIRMED:
        row.state, row.decide_by = after(row.state, Move.ASK), place.rules.decide_by(now)
    audit.record(
        session,
        actor_id=editor.actor_id,
        action="move",
        object_kind="booking",
        object_id=row.id,
        institution_id=row.institution_id,
        before=before,
        after=facts(row),
        now=now,
    )
    return True


def _record(
    session: Session, series: BookingSeries, changed: Sequence[Booking], ended: Sequence[Booking], editor: Editor, now: datetime
) -> None:
    """One entry for the whole edit, and one message a person for what changed and for what ended."""
    audit.record(
        session,
        actor_id=editor.actor_id,
        action="edit_series",
        object_kind="series",
        object_id=series.id,
        institution_id=series.institution_id,
        before={"split_from": series.split_from},
        after={
            "start": series.starts_at.isoformat(),
            "end": series.ends_at.isoformat(),
            "rrule": series.rrule,
            "changed": [row.id for row in changed],
            "ended": [row.id for row in ended],
        },
        now=now,
    )
    if changed:
        telling.changed(session, series, sorted(changed, key=lambda row: row.starts_at), now)
    if ended:
        telling.cancelled(session, series, ended, now)
