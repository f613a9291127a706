"""What becomes of a booking by its page: moved, handed over, exchanged, rated."""

from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Response

from booking import queries
from booking.admission import SlotRefused
from booking.handover.actions import NotAColleague
from booking.states import BookingState
from booking.swaps import queries as swaps
from booking.swaps.tables import Swap
from booking.tables import Booking
from marketplace.catalogue import queries as catalogue
from marketplace.permissions import Actor
from marketplace.refusals import Invalid, NotFound, Refused, Stale, WrongState
from marketplace.slot import Slot
from web import afterwards, checkout, exchanging
from web.deps import Db, Now, SignedIn, note
from web.pages.account import again
from web.pages.bookings import drawn
from web.pages.drawing import Drawing, Fields, number, text, typed
from web.views.frame import Form
from web.wall import read_slot

router = APIRouter(prefix="/{lang}")


def _press(
    pen: Drawing, db: Db, row: Booking, fields: Fields, now: datetime, act: Callable[[], str], field: str | None = None
) -> Response:
    """Do what a button asks for, which answers with what was achieved; what stands in the way is told on the booking's page."""
    try:
        with db.begin_nested():
            done = act()
    except (Invalid, NotAColleague) as refusal:
        return drawn(pen, db, row, now, form=again(pen, fields, refusal, field))
    except (Refused, Stale, WrongState) as refusal:
        if isinstance(refusal, SlotRefused):
            note(db, refusal, now)
        return drawn(pen, db, row, now, refusal, Form(typed(fields)))
    return pen.go(f"/bookings/{row.id}", done)


@router.post("/bookings/{booking_id}/move")
def move(pen: Drawing, booking_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    row = queries.get_booking_for(db, actor, booking_id)

    def act() -> str:
        slot, version = _slot(db, row, fields), number(fields, "version")
        made, _ = checkout.move(db, actor=actor, booking_id=row.id, slot=slot, version=version, now=now)
        return "moved_asks" if made.state is BookingState.REQUESTED else "moved_own"

    return _press(pen, db, row, fields, now, act)


def _slot(db: Db, row: Booking, fields: Fields) -> Slot:
    """By the wall clock of the equipment. Raises: Invalid."""
    return read_slot(typed(fields), ZoneInfo(catalogue.get_resource(db, row.resource_id).timezone))


@router.post("/bookings/{booking_id}/hand-over")
def hand_over(pen: Drawing, booking_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    row = queries.get_booking_for(db, actor, booking_id)
    person_id, email = text(fields, "person_id") or None, text(fields, "email") or None

    def act() -> str:
        exchanging.hand_over(db, actor=actor, booking_id=row.id, person_id=person_id, email=email, now=now)
        return "handed_over"

    answer = _press(pen, db, row, fields, now, act, "person_id" if person_id else "email")
    sees = answer.status_code != 303 or _sees(db, actor, row.id)
    return answer if sees else pen.go("/bookings", "handed_over")


def _sees(db: Db, actor: Actor, booking_id: str) -> bool:
    """Whether it is still the actor's to see."""
    try:
        return bool(queries.get_booking_for(db, actor, booking_id))
    except NotFound:
        return False


@router.post("/bookings/{booking_id}/swap")
def swap(pen: Drawing, booking_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    row = queries.get_booking_for(db, actor, booking_id)

    def act() -> str:
        try:
            other = text(fields, "with_booking_id")
            made = exchanging.swap(db, actor=actor, booking_id=row.id, with_id=other, now=now)
        except NotFound as error:
            raise Invalid(field="with_booking_id", reason="there is no booking of that number") from error
        return "swap_proposed" if isinstance(made, Swap) else "swapped"

    return _press(pen, db, row, fields, now, act)


@router.post("/bookings/{booking_id}/rating")
def rate(pen: Drawing, booking_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    row = queries.get_booking_for(db, actor, booking_id)

    def act() -> str:
        stars, comment = number(fields, "stars"), text(fields, "comment")
        afterwards.rate(db, actor=actor, booking_id=row.id, stars=stars, comment=comment, now=now)
        return "rated"

    return _press(pen, db, row, fields, now, act)


@router.post("/swaps/{swap_id}/accept")
def accept(pen: Drawing, swap_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    return _answer(pen, db, actor, swap_id, fields, now, exchanging.accept, "swapped")


@router.post("/swaps/{swap_id}/decline")
def decline(pen: Drawing, swap_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    return _answer(pen, db, actor, swap_id, fields, now, exchanging.decline, "swap_declined")


@router.post("/swaps/{swap_id}/withdraw")
def withdraw(pen: Drawing, swap_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    return _answer(pen, db, actor, swap_id, fields, now, exchanging.withdraw, "swap_withdrawn")


def _answer(
    pen: Drawing,
    db: Db,
    actor: Actor,
    swap_id: str,
    fields: Fields,
    now: datetime,
    act: Callable[..., Swap],
    done: str,
) -> Response:
    """Answer a proposal and show one's own booking."""
    found = swaps.get_swap_for(db, actor, swap_id)
    sides = [queries.get_booking(db, key) for key in (found.with_booking_id, found.booking_id)]
    row = next(one for one in sides if checkout.is_own(actor, one))

    def press() -> str:
        act(db, actor=actor, swap_id=swap_id, now=now)
        return done

    return _press(pen, db, row, fields, now, press)
