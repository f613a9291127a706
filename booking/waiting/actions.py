"""Writes of waiting lists: join, take up, decline or leave; and the two looks of the worker."""

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from booking import queries, terms
from booking.admission import Wish, decide, find_ways_out
from booking.availability import MINUTE
from booking.places import Place, lock_place, lock_places
from booking.tables import Booking
from booking.waiting import offers
from booking.waiting import queries as lines
from booking.waiting.line import Turn, WaitingState, last_call, lasting
from booking.waiting.tables import WaitingEntry
from marketplace import audit
from marketplace.ids import new_id
from marketplace.refusals import Invalid, Reason, Refusal, Refused, WrongState
from marketplace.slot import Slot

LONGEST_WINDOW = timedelta(days=31)
MOST_IN_LINE = 200
MOST_OF_PERSON = 5
"""Open places that a person may have in one line, and fifty in all."""
MOST_PLACES = 50
LOOKED_AT = 20
"""Resources whose lines the worker looks at in one go; all of them are locked meanwhile."""
LAPSED = 100


class FreeNow(Refused):
    """What is to be waited for can be booked now; `alternatives` say when."""

    code = "free_now"

    def __init__(self, free: Collection[Slot]) -> None:
        super().__init__([Reason("free_now")], (), list(free))


class AlreadyWaiting(Refusal):
    """The same person waits for the same time already."""

    code = "already_waiting"


class InVain(Refused):
    """What is to be waited for would be refused even if it were free; the reasons say why."""

    code = "waiting_in_vain"


class LineFull(Refusal):
    """More than `most` wait here, or the person has as many places as one may have."""

    code = "line_full"


class OfferOver(WrongState):
    """The offer ended at `until`, whether a timer has seen it or not."""

    code = "offer_over"


def join(session: Session, *, wish: Wish, length: timedelta | None, now: datetime) -> WaitingEntry:
    """Take the last place in the line of the wish's resource: for exactly its slot, or for `length` anywhere inside it.

    Raises: NotFound, Invalid, FreeNow, InVain, AlreadyWaiting, LineFull.
    """
    place = lock_place(session, wish.resource_id)
    entry = _entry(place, wish, length or wish.slot.duration, now)
    _check_window(entry)
    _check_bounds(session, entry)
    _check_hope(session, place, entry, now)
    session.add(entry)
    session.flush()
    audit.record(
        session,
        actor_id=entry.person_id,
        action="waiting_join",
        object_kind="waiting",
        object_id=entry.id,
        institution_id=entry.institution_id,
        before=None,
        after={"state": entry.state.value, "resource": entry.resource_id, "length_min": entry.length_min}
        | {"start": entry.starts_at.isoformat(), "end": entry.ends_at.isoformat()},
        now=now,
    )
    return entry


def _entry(place: Place, wish: Wish, length: timedelta, now: datetime) -> WaitingEntry:
    return WaitingEntry(
        id=new_id("wait"),
        resource_id=place.resource_id,
        institution_id=place.institution_id,
        organisation_id=wish.organisation_id,
        person_id=wish.person_id,
        starts_at=wish.slot.start,
        ends_at=wish.slot.end,
        length_min=length // MINUTE,
        quantity=wish.quantity,
        category=wish.category,
        purpose=wish.purpose,
        assisted=wish.assisted,
        state=WaitingState.WAITING,
        joined_at=now,
        looked_at=now,
    )


def _check_window(entry: WaitingEntry) -> None:
    window = entry.window
    if window.duration % MINUTE:
        raise Invalid(field="end", reason="not whole minutes after start")
    if window.duration > LONGEST_WINDOW:
        raise Invalid(field="end", reason="more than 31 days after start")
    if not timedelta() < entry.length <= window.duration:
        raise Invalid(field="minutes", reason="does not fit between start and end")


def _check_bounds(session: Session, entry: WaitingEntry) -> None:
    own = lines.open_places_of(session, entry.person_id)
    here = [one for one in own if one.resource_id == entry.resource_id]
    if any((one.window, one.length_min, one.quantity) == (entry.window, entry.length_min, entry.quantity) for one in here):
        raise AlreadyWaiting
    if len(here) >= MOST_OF_PERSON:
        raise LineFull(most=MOST_OF_PERSON)
    if len(own) >= MOST_PLACES:
        raise LineFull(most=MOST_PLACES)
    if lines.count_in_line(session, entry.resource_id) >= MOST_IN_LINE:
        raise LineFull(most=MOST_IN_LINE)


def _check_hope(session: Session, place: Place, entry: WaitingEntry, now: datetime) -> None:
    """Whether it is not free now, and might be granted once it is."""
    free = [slot for slot in offers.candidates(session, place, entry, now) if _granted(session, place, entry, slot, now)]
    if free:
        raise FreeNow(free)
    wish = offers.wish_of(entry, _example(place, entry, now))
    decision = decide(session, place, wish, {}, now=now)
    if reasons := lasting(decision.reasons):
        raise InVain(reasons, (), find_ways_out(session, place, wish, now=now))
    if last_call(entry.window, entry.length, place.rules) <= now:
        raise InVain([Reason("too_soon", {"notice_min": place.rules.notice_min})])


def _granted(session: Session, place: Place, entry: WaitingEntry, slot: Slot, now: datetime) -> bool:
    claims = queries.taken(session, place.claimed, within=slot)
    return not decide(session, place, offers.wish_of(entry, slot), claims, now=now).reasons


def _example(place: Place, entry: WaitingEntry, now: datetime) -> Slot:
    """A slot that the rules would allow if nobody had taken anything; the first of the window where there is none."""
    first = Slot(entry.starts_at, entry.starts_at + entry.length)
    opened = terms.bookable_hours(place.rules, place.zone, entry.window)
    exact = entry.length == entry.window.duration
    found = [] if exact else terms.alternatives(opened, first, rules=place.rules, zone=place.zone, now=now)
    return min(found, default=first)


def take_up(session: Session, *, entry_id: str, now: datetime) -> tuple[WaitingEntry, Wish]:
    """Release an offer for its booking in the same transaction, and say what to book; `settle` notes the booking.

    Raises: NotFound, WrongState (answered before), OfferOver.
    """
    entry = _locked(session, entry_id)
    _must_stand(entry, Turn.ACCEPT, now)
    offers.release(session, entry)
    return entry, offers.wish_of(entry, entry.offer or entry.window)


def settle(session: Session, *, entry: WaitingEntry, booking: Booking, now: datetime) -> None:
    """The offer that was taken up has become `booking`."""
    entry.booking_id, entry.ended_at = booking.id, now
    offers.turn(session, entry, Turn.ACCEPT, now, entry.person_id)


def decline(session: Session, *, entry_id: str, now: datetime) -> WaitingEntry:
    """Let the offer pass to the next in line. Raises: NotFound, WrongState, OfferOver."""
    entry = _locked(session, entry_id)
    _must_stand(entry, Turn.DECLINE, now)
    return _pass_on(session, entry, Turn.DECLINE, now, entry.person_id)


def withdraw(session: Session, *, entry_id: str, now: datetime) -> WaitingEntry:
    """Leave the list; what was offered passes to the next. Raises: NotFound, WrongState."""
    entry = _locked(session, entry_id)
    return _pass_on(session, entry, Turn.WITHDRAW, now, entry.person_id)


def close_line(session: Session, *, resource_id: str, actor_id: str, now: datetime) -> None:
    """Nothing of it will be free any more: every place ends, offered or not, and each person is told once. Raises: NotFound."""
    lock_place(session, resource_id)
    told = set[str]()
    for entry in lines.line_of(session, [resource_id]):
        session.refresh(entry)
        if entry.state is WaitingState.OFFERED:
            offers.turn(session, entry, Turn.RECALL, now, actor_id)
            offers.forget(session, entry)
        offers.turn(session, entry, Turn.END, now, actor_id)
        entry.ended_at = now
        if entry.person_id not in told:
            offers.tell_end(session, entry, now)
        told.add(entry.person_id)
    session.flush()


def _locked(session: Session, entry_id: str) -> WaitingEntry:
    """The entry as it is now, with the rows of its resource locked. Raises: NotFound."""
    entry = lines.get_entry(session, entry_id)
    lock_place(session, entry.resource_id)
    session.refresh(entry)
    return entry


def _must_stand(entry: WaitingEntry, step: Turn, now: datetime) -> None:
    until = entry.offered_until
    ended = entry.state is WaitingState.LAPSED or (entry.state is WaitingState.OFFERED and until is not None and until <= now)
    if ended:
        raise OfferOver(state=WaitingState.LAPSED.value, move=step.value, until=until.isoformat() if until else None)
    if entry.state is not WaitingState.OFFERED:
        raise WrongState(state=entry.state.value, move=step.value)


def _pass_on(session: Session, entry: WaitingEntry, step: Turn, now: datetime, actor_id: str | None) -> WaitingEntry:
    """End the entry's turn and offer its time, where it had been offered any, to the next in the same transaction."""
    offered = entry.state is WaitingState.OFFERED
    offers.turn(session, entry, step, now, actor_id)
    entry.ended_at = now
    if offered and entry.offer:
        offers.release(session, entry)
        offers.offer_freed(session, resource_id=entry.resource_id, freed=entry.offer, now=now)
    session.flush()
    return entry


def lapse(session: Session, *, now: datetime) -> None:
    """End the offers that nobody has answered in time, and offer their time to the next in line."""
    due = lines.lapsed(session, now=now, limit=LAPSED)
    lock_places(session, {entry.resource_id for entry in due})
    for entry in due:
        session.refresh(entry)
        if entry.state is WaitingState.OFFERED and entry.offered_until is not None and entry.offered_until <= now:
            offers.tell(session, entry, "waiting_lapsed", now)
            _pass_on(session, entry, Turn.LAPSE, now, None)


def look(session: Session, *, now: datetime) -> None:
    """Offer what became free by other ways than a booking's end: longer hours, an outage's end, a part's release."""
    due = lines.longest_not_looked_at(session, limit=LOOKED_AT)
    places = lock_places(session, due)
    for place in sorted(places.values(), key=lambda place: place.resource_id):
        offers.offer_within(session, resource_ids=[place.resource_id], locked=place.claimed, within=None, now=now)
