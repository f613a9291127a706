"""What can be done with a booking, as its page offers it."""

from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from booking import actions
from booking import queries as booking
from booking.admission import SlotRefused
from booking.ratings import queries as ratings
from booking.requests.tables import Grounds
from booking.states import BookingState
from booking.swaps import queries as swaps
from booking.swaps.tables import Swap, SwapState
from booking.tables import Booking
from marketplace.catalogue import queries as catalogue
from marketplace.people import queries as people
from marketplace.permissions import Action, Actor, may
from marketplace.refusals import Refusal, Refused
from web import afterwards, labels
from web.checkout import is_own
from web.exchanging import may_hand_over
from web.i18n import Formats, translator
from web.present import names
from web.present.bundles import START
from web.present.turns import ENDS, asking
from web.reasons import sentence
from web.views.changes import Changes, Instead, RatingView, SwapRow
from web.views.frame import EMPTY_FORM, Choice, Form, Lang

FIELD_TIME = "%Y-%m-%dT%H:%M"
MOST_OWN = 50
GROUNDS = (Grounds.DECLINED_CAPACITY, Grounds.OUT_OF_SCOPE)
STANDING = {BookingState.REQUESTED, BookingState.CONFIRMED}


def changes(
    session: Session,
    row: Booking,
    *,
    actor: Actor,
    lang: Lang,
    zone: str,
    now: datetime,
    form: Form = EMPTY_FORM,
    refusal: Refusal | None = None,
) -> Changes:
    _ = translator(lang)
    own, decides = is_own(actor, row), may(actor, Action.DECIDE_BOOKINGS, institution_id=row.institution_id)
    stands, ahead = row.state in STANDING, row.starts_at > now
    start, end = (at.astimezone(ZoneInfo(zone)).strftime(FIELD_TIME) for at in (row.starts_at, row.ends_at))
    rating = ratings.find_rating(session, row.id)
    text = may(actor, Action.REVIEW_USE, institution_id=row.institution_id) or own
    can_hand_over = stands and row.ends_at > now and may_hand_over(actor, row)
    can_swap = stands and ahead and (own or decides)
    reasons = refusal.reasons if isinstance(refusal, Refused) else ()
    return Changes(
        can_move=stands and ahead and (own or decides),
        start=start,
        end=end,
        keeps_fee=own and not decides,
        asks_again=row.state is BookingState.REQUESTED or actions.asks_again(session, row),
        can_hand_over=can_hand_over,
        colleagues=_colleagues(session, actor, row) if can_hand_over else [],
        can_swap=can_swap,
        own=_others(session, actor, row, lang, now) if can_swap else [],
        swaps=_swaps(session, row, lang, now) if own else [],
        can_rate=afterwards.may_rate(session, actor, row, now=now),
        stars=[Choice(str(n), labels.word(_, "stars", str(n)), n == (rating.stars if rating else 5)) for n in range(5, 0, -1)],
        rating=RatingView(rating.stars, rating.comment if text else None) if rating else None,
        grounds=[Choice(one.value, labels.word(_, "grounds", one.value)) for one in GROUNDS],
        asks_why=own and row.state is BookingState.REQUESTED and row.decided_at is None,
        form=asking(form, zone, lang, (*ENDS, START)),
        refused=[sentence(one.code, one.values, _) for one in reasons if refusal and one.code != refusal.code],
        taken=refusal.conflicts if isinstance(refusal, SlotRefused) else (),
        ways=refusal.alternatives if isinstance(refusal, SlotRefused) else (),
    )


def _colleagues(session: Session, actor: Actor, row: Booking) -> list[Choice]:
    """Those the reader works with; whoever does not, names an address."""
    if row.organisation_id is None and row.institution_id in actor.institutions():
        members = people.members_of_institution(session, row.institution_id)
    elif row.organisation_id in actor.organisations:
        members = people.members_of_organisation(session, row.organisation_id or "")
    else:
        return []
    found = {person.id: person for person, _ in members if person.disabled_at is None and person.id != row.person_id}
    return [Choice(person.id, person.name) for person in found.values()]


def _others(session: Session, actor: Actor, row: Booking, lang: Lang, now: datetime) -> list[Choice]:
    rows = [
        one
        for one in booking.bookings_for(session, actor, limit=MOST_OWN)
        if one.id != row.id and one.institution_id == row.institution_id and one.state in STANDING and one.starts_at > now
    ]
    places = {one.id: one for one in catalogue.resources(session, {one.resource_id for one in rows})}
    told = Formats(lang)
    return [
        Choice(
            one.id, f"{names.name_of(places[one.resource_id], lang)} · {told.span(one.slot, places[one.resource_id].timezone)}"
        )
        for one in sorted(rows, key=lambda one: one.starts_at)
    ]


def _swaps(session: Session, row: Booking, lang: Lang, now: datetime) -> list[SwapRow]:
    """Those that wait for an answer and can still have one."""
    waiting = [one for one in swaps.swaps_of(session, row.id) if one.state is SwapState.PROPOSED]
    return [_swap(session, one, row, lang) for one in waiting if now < min(one.answer_by, row.starts_at)]


def _swap(session: Session, swap: Swap, row: Booking, lang: Lang) -> SwapRow:
    """To whoever is asked what is offered, to whoever asks nothing but the number that they entered."""
    answer_by = min(swap.answer_by, row.starts_at)
    if swap.booking_id == row.id:
        return SwapRow(swap.id, swap.with_booking_id, answer_by, None)
    other = booking.get_booking(session, swap.booking_id)
    place = catalogue.get_resource(session, other.resource_id)
    instead = Instead(other.slot, place.id, names.name_of(place, lang), place.timezone)
    return SwapRow(swap.id, swap.booking_id, answer_by, instead)
