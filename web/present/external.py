"""Calendars kept elsewhere, as the publisher sees them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import urlsplit

from sqlalchemy.orm import Session

from booking.external import queries
from booking.external.queries import Conflict
from booking.external.tables import ExternalCalendar
from marketplace.tables import Resource
from web import labels
from web.i18n import translator
from web.present import names
from web.present.desk import customers
from web.views.external import CalendarRow, ConflictRow, ExternalView
from web.views.frame import EMPTY_FORM, Form, Lang


def external(
    session: Session, place: Resource, *, lang: Lang, every_min: int, now: datetime, form: Form = EMPTY_FORM
) -> ExternalView:
    rows = queries.calendars_of(session, place.id)
    counts = queries.count_busy(session, [row.id for row in rows], after=now)
    found = queries.conflicts_of(session, place.id, after=now)
    return ExternalView(
        resource_id=place.id,
        resource=names.name_of(place, lang),
        zone=place.timezone,
        live=names.badge(session, place, lang, now=now),
        calendars=[_row(row, counts, lang) for row in rows],
        conflicts=_met(session, found, {row.id: row.name for row in rows}),
        every_min=every_min,
        form=form,
    )


def _row(row: ExternalCalendar, counts: Mapping[str, int], lang: Lang) -> CalendarRow:
    return CalendarRow(
        id=row.id,
        name=row.name,
        address=masked(row.url) if row.url else None,
        error=error_in_words(row.error, row.error_status, lang) if row.error else None,
        tried_at=row.tried_at,
        read_at=row.read_at,
        next_at=row.run_at,
        entries=row.entries,
        busy=counts.get(row.id, 0),
        notes=[f"{labels.word(translator(lang), 'elsewhere', note['code'])}: {note['value']}" for note in row.notes],
    )


def error_in_words(code: str, status: int | None, lang: Lang) -> str:
    said = labels.word(translator(lang), "elsewhere", code)
    return f"{said} (HTTP {status})" if status else said


def masked(url: str) -> str:
    """Where it is, without what makes it secret.

    >>> masked("https://example.org/private-8f3a/basic.ics?key=1")
    'https://example.org/…'
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/…"


def _met(session: Session, found: Sequence[Conflict], named: Mapping[str, str]) -> list[ConflictRow]:
    firms = customers(session, [one.booking for one in found])
    return [
        ConflictRow(one.booking.id, firms[one.booking.id], one.slot, one.booking.state.value, named.get(one.calendar_id, ""))
        for one in found
    ]
