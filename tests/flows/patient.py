"""What the crowd does where it has to wait, and what others' calendars do to it: offers and busy times that come and go."""

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from booking.external import actions as external
from booking.external import queries as calendars
from booking.external.actions import Source
from booking.waiting import actions as waiting
from booking.waiting.line import WaitingState
from booking.waiting.tables import WaitingEntry
from marketplace.refusals import NotFound
from tests.flows.town import HOLD, Changed, Guest
from web import waiting as lines

PARTS_OF_A_DAY = (
    "RRULE:FREQ=DAILY;INTERVAL=2;COUNT=4",
    "RRULE:FREQ=HOURLY;INTERVAL=5;COUNT=6",
    "RDATE:20270327T100000Z,20270328T003000Z",
)


def calendar(start: datetime, minutes: int, repeats: str) -> bytes:
    """A file that calls `minutes` from `start` on busy, again and again."""
    event = ("UID:crowd", f"DTSTART:{start:%Y%m%dT%H%M%S}Z", f"DURATION:PT{minutes}M", repeats)
    return "\r\n".join(["BEGIN:VCALENDAR", "BEGIN:VEVENT", *event, "END:VEVENT", "END:VCALENDAR", ""]).encode()


class Patient(Guest):
    """Whoever waits, answers offers, and hands calendars in."""

    def wait(self, session: Session) -> Changed:
        """For exactly a time that is taken, or for an hour within some."""
        order = self.order()
        length = timedelta(hours=1) if self.dice.random() < 0.5 and order.slot.duration >= timedelta(hours=1) else None
        lines.join(session, actor=self.firm(), order=order, length=length, now=self.now)
        return []

    def answer(self, session: Session) -> Changed:
        """Take an offer, decline it, or leave the line."""
        open_ones = (WaitingState.OFFERED, WaitingState.OFFERED, WaitingState.WAITING)
        asked = select(WaitingEntry).where(WaitingEntry.state == self.dice.choice(open_ones)).order_by(WaitingEntry.id)
        found = session.scalars(asked.limit(20)).all()
        if not found:
            raise NotFound(kind="place in line")
        entry = self.dice.choice(found)
        if entry.state is WaitingState.OFFERED and self.dice.random() < 0.6:
            actor = next(one for one in self.town.firms if one.person_id == entry.person_id)
            _, booking, _ = lines.accept(session, actor=actor, entry_id=entry.id, payment_method=None, now=self.now, hold=HOLD)
            return [(booking.id, booking.version)]
        (waiting.decline if self.dice.random() < 0.5 else waiting.withdraw)(session, entry_id=entry.id, now=self.now)
        return []

    def look(self, session: Session) -> Changed:
        """The worker's two jobs."""
        (waiting.lapse if self.dice.random() < 0.5 else waiting.look)(session, now=self.now)
        return []

    def elsewhere(self, session: Session) -> Changed:
        """A machine's calendar is handed in, replaced by another, or taken away."""
        machine, who = self.dice.choice(list(self.town.machines.values())), self.town.manager.known_id
        present = calendars.calendars_of(session, machine)
        body = calendar(self.slot().start, 15 * self.dice.randint(1, 12), self.dice.choice(PARTS_OF_A_DAY))
        if not present:
            external.connect(
                session,
                resource_id=machine,
                name="plan",
                source=Source(body=body),
                actor_id=who,
                now=self.now,
            )
        elif self.dice.random() < 0.6:
            external.replace_file(session, calendar_id=present[0].id, body=body, actor_id=who, now=self.now)
        else:
            external.disconnect(session, calendar_id=present[0].id, actor_id=who, now=self.now)
        return []
