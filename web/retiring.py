"""Retires a resource, once somebody has said what becomes of all that lies ahead of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from booking.outages.actions import affected_by
from booking.outages.plans import Proposal, Step
from booking.states import BookingState
from booking.tables import Booking
from booking.waiting import queries as lines
from booking.waiting.actions import close_line
from booking.waiting.line import WaitingState
from marketplace.catalogue import actions as catalogue
from marketplace.permissions import Actor
from marketplace.refusals import Refusal
from marketplace.slot import Slot
from marketplace.tables import Resource
from web.outages import Closing, carry_out, lock_planned

FOR_GOOD = timedelta(days=6 * 366)
"""Longer than anything may lie ahead, whoever sets the rules aside."""


WHY = "退役 / retired"
"""On record where a booking is put elsewhere in spite of a rule."""


class LiesAhead(Refusal):
    """Somebody still counts on the resource. Counts of `bookings`, `requests`, `series`, `offers`, and of who is `waiting`."""

    code = "lies_ahead"


@dataclass(frozen=True, slots=True)
class Ahead:
    """What retiring a resource would meet: bookings in order, also those of whatever takes it along; its waiting list."""

    bookings: Sequence[Booking]
    offers: int
    waiting: int

    @property
    def counts(self) -> dict[str, int]:
        asked = sum(row.state is BookingState.REQUESTED for row in self.bookings)
        series = len({row.series_id for row in self.bookings if row.series_id})
        stand = len(self.bookings) - asked
        return {"bookings": stand, "requests": asked, "series": series, "offers": self.offers, "waiting": self.waiting}


def for_good(now: datetime) -> Slot:
    """The time that a resource is not there if it is retired now."""
    return Slot(now, now + FOR_GOOD)


def ahead_of(session: Session, resource_id: str, now: datetime) -> Ahead:
    line = lines.line_of(session, [resource_id])
    offered = sum(entry.state is WaitingState.OFFERED for entry in line)
    return Ahead(affected_by(session, resource_id=resource_id, slot=for_good(now)), offered, len(line) - offered)


def retire(session: Session, *, actor: Actor, resource_id: str, plan: Sequence[Proposal] | None, now: datetime) -> Resource:
    """Close it for good and carry out what was decided for the bookings ahead; those that are kept run, and count, to their end.

    Whoever waits for it is told that nothing more is to come.
    Raises: NotFound, NotAllowed, WrongState, LiesAhead (nothing was decided, or not of what lies ahead by now), Invalid, Stale,
    PlanRefused.
    """
    lock_planned(session, resource_id, plan or [])
    found = ahead_of(session, resource_id, now)
    last_use = max((one.booking.ends_at for one in plan or [] if one.step is Step.KEEP), default=None)
    row = catalogue.retire(session, resource_id=resource_id, actor_id=actor.known_id, last_use=last_use, now=now)
    decided = plan is not None and {one.booking.id for one in plan} == {one.id for one in found.bookings}
    if not decided and (plan or any(found.counts.values())):
        raise LiesAhead(**found.counts)
    close_line(session, resource_id=resource_id, actor_id=actor.known_id, now=now)
    carry_out(session, actor=actor, plan=plan or [], closing=Closing(for_good(now), WHY, told=None), now=now)
    return row
