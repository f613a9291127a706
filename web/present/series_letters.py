"""The calendar that goes with a letter about a series: one file with an entry for each occurrence."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from booking import queries as booking
from booking.series import queries as series
from booking.states import HOLDING
from booking.tables import Booking
from marketplace.catalogue import queries as catalogue
from marketplace.people import queries as people
from marketplace.tables import Message
from web.calendar import Method, published
from web.i18n import translator
from web.mail import Attachment
from web.present import calendars
from web.views.frame import Lang

ENTERS = {"series_booked", "series_changed"}
LEAVES = "series_cancelled"
MOST = 300
"""Entries of one file; mail servers and calendars choke on more, and the page has all."""


@dataclass(frozen=True, slots=True)
class Enclosed:
    """The calendar, of the first entries, and how many there are."""

    calendars: Sequence[Attachment] = ()
    count: int = 0

    def facts(self, lang: Lang) -> list[tuple[str, str]]:
        """Where the rest is; nothing where all are attached."""
        if self.count <= MOST:
            return []
        _ = translator(lang)
        return [
            (
                _("Calendar"),
                _("the first {count} of {all} are attached; the page below has all").format(count=MOST, all=self.count),
            )
        ]


def enclosed(session: Session, message: Message, *, lang: Lang, base_url: str, organiser: str) -> Enclosed:
    """What enters the reader's calendar or changes there as it is now, or what left it with this message."""
    found = _told(session, message)
    if not found:
        return Enclosed()
    some = found[:MOST]
    places = {row.id: row for row in catalogue.resources(session, {row.resource_id for row in some})}
    houses = {row.id: row for row in people.institutions(session, {row.institution_id for row in some})}
    events = [
        calendars.entry(row, places[row.resource_id], houses[row.institution_id], lang=lang, base_url=base_url) for row in some
    ]
    return Enclosed([Attachment(published(events, organiser=organiser), Method.PUBLISH)], len(found))


def _told(session: Session, message: Message) -> list[Booking]:
    """In order. What ended together ended at one instant."""
    if message.kind not in {*ENTERS, LEAVES}:
        return []
    first = booking.get_booking(session, message.data["booking_id"])
    series_id: str = (first.series_id if message.kind == LEAVES else None) or message.data["series_id"]
    theirs = [row for row in series.bookings_of(session, series_id) if row.person_id == message.person_id]
    if message.kind == LEAVES:
        stood = [row for row in theirs if row.decided_at]
        return [row for row in stood if row.cancelled_at and row.cancelled_at == first.cancelled_at]
    return [row for row in theirs if row.state in HOLDING and row.ends_at > message.created_at]
