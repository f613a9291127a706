"""Who is told what a plan did with their bookings: one message a person for all of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from booking.queries import get_series
from booking.series import telling as series
from booking.states import HOLDING, BookingState
from booking.tables import Booking
from marketplace import outbox
from marketplace.slot import Slot

KIND = "booking_replanned"


@dataclass(frozen=True, slots=True)
class Replanned:
    """A booking as a step left it: moved from where it `was`, ended, or made at another institution `instead_of` one."""

    booking: Booking
    was: Slot
    left: str
    """The resource that it was on."""
    instead_of: Booking | None = None

    @property
    def became(self) -> str:
        """The kind of message that would tell of it alone."""
        if self.booking.state not in HOLDING:
            return "booking_cancelled"
        if self.instead_of is None:
            return "booking_changed"
        return "booking_requested" if self.booking.state is BookingState.REQUESTED else "booking_substituted"


def replanned(session: Session, steps: Sequence[Replanned], *, closed: Slot | None, now: datetime) -> None:
    """Each person hears in order what became of theirs and that it is for an outage of `closed`, None: for good.

    Where all that it did was to end bookings of one series, the message of the series says so without listing them.
    """
    why = {"closed": _span(closed) if closed else None}
    for person_id in dict.fromkeys(one.booking.person_id for one in steps):
        theirs = [one for one in steps if one.booking.person_id == person_id]
        first, ended = theirs[0].booking, {one.booking.series_id for one in theirs if one.became == "booking_cancelled"}
        if first.series_id and ended == {one.booking.series_id for one in theirs} == {first.series_id}:
            series.cancelled(session, get_series(session, first.series_id), [one.booking for one in theirs], now, why)
            continue
        cause = f"{first.id}:{KIND}:{first.version}"
        outbox.queue(session, person_id=person_id, kind=KIND, data={**_data(theirs), **why}, cause=cause, now=now)


def _data(steps: Sequence[Replanned]) -> dict[str, Any]:
    """The first of them, and the others as its `parts`."""
    first, *others = [_step(one) for one in steps]
    return {**first, "parts": others}


def _step(one: Replanned) -> dict[str, Any]:
    row = one.booking
    told = {"booking_id": row.id, "resource_id": row.resource_id, **_span(row.slot), "version": row.version, "became": one.became}
    if one.instead_of is not None:
        return {**told, "instead_of": one.instead_of.id}
    was = {"was": _span(one.was)} if one.was != row.slot else {}
    return {**told, **was, **({"left": one.left} if one.left != row.resource_id else {})}


def _span(slot: Slot) -> dict[str, str]:
    return {"start": slot.start.isoformat(), "end": slot.end.isoformat()}
