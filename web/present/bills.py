"""The bills of one's firms, a month at a time, with what of each is still to be paid."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from billing.billed import queries as billed
from billing.tables import Statement
from booking import queries as booking
from booking.availability import local_midnight
from marketplace.catalogue import queries as catalogue
from marketplace.inbox import queries as inbox
from marketplace.money import Money, zero
from marketplace.people import queries as people
from marketplace.permissions import Actor
from web.i18n import Formats, translator
from web.present import names
from web.present.bookings import number_of
from web.views.bills import BillRow, BillsPaper, BillsView
from web.views.frame import Choice, Lang, by_offset

MONTHS = 24
ON_PAGE = 100
IN_FILE = 20_000
ON_PAPER = 1000


@dataclass(frozen=True, slots=True)
class Asked:
    """A month by its first day, on the reader's calendar; of all their firms, or of one."""

    month: date
    organisation: str = ""
    offset: int = 0


def months(now: datetime, zone: ZoneInfo) -> list[date]:
    """The last ones, the present one first.

    >>> from datetime import UTC
    >>> [str(one) for one in months(datetime(2026, 1, 31, 17, tzinfo=UTC), ZoneInfo("Asia/Shanghai"))[:2]]
    ['2026-02-01', '2026-01-01']
    """
    today = now.astimezone(zone).date()
    number = today.year * 12 + today.month - 1
    return [date(one // 12, one % 12 + 1, 1) for one in range(number, number - MONTHS, -1)]


def bills(session: Session, actor: Actor, asked: Asked, *, lang: Lang, now: datetime) -> BillsView:
    zone, formats = inbox.zone_of(session, actor.known_id), Formats(lang)
    firms = sorted(people.organisations(session, actor.organisations), key=lambda one: (one.name, one.id))
    which = _which(actor, asked, zone)
    found = billed.list_statements(session, which, limit=ON_PAGE + 1, offset=asked.offset)
    query = f"month={asked.month:%Y-%m}&organisation={asked.organisation}"
    return BillsView(
        rows=_rows(session, found[:ON_PAGE], {one.id: one.name for one in firms}, lang),
        sums=billed.sums_of(session, which) or [billed.Sums(zero("CNY"), zero("CNY"))],
        months=[Choice(f"{one:%Y-%m}", formats.month(one), one == asked.month) for one in months(now, zone)],
        organisations=_firms([Choice(one.id, one.name, one.id == asked.organisation) for one in firms], lang),
        csv_url=f"/{lang.value}/bills.csv?{query}",
        pdf_url=f"/{lang.value}/bills.pdf?{query}",
        paging=by_offset(f"/{lang.value}/bills?{query}&", before=asked.offset, found=len(found), page=ON_PAGE),
        zone=zone.key,
    )


def _firms(firms: Sequence[Choice], lang: Lang) -> list[Choice]:
    """To choose from, for who belongs to several."""
    return [Choice("", translator(lang)("All")), *firms] if len(firms) > 1 else []


def every_row(session: Session, actor: Actor, asked: Asked, *, lang: Lang) -> list[BillRow]:
    """Of the month, for a file."""
    which = _which(actor, asked, inbox.zone_of(session, actor.known_id))
    firms = {one.id: one.name for one in people.organisations(session, actor.organisations)}
    return _rows(session, billed.list_statements(session, which, limit=IN_FILE), firms, lang)


def paper(session: Session, actor: Actor, asked: Asked, *, lang: Lang, now: datetime) -> BillsPaper:
    """The month as a document."""
    zone = inbox.zone_of(session, actor.known_id)
    firms = {one.id: one.name for one in people.organisations(session, actor.organisations)}
    which = _which(actor, asked, zone)
    found = billed.list_statements(session, which, limit=ON_PAPER + 1)
    return BillsPaper(
        month=Formats(lang).month(asked.month),
        firm=firms.get(asked.organisation, "") or (next(iter(firms.values())) if len(firms) == 1 else ""),
        rows=_rows(session, found[:ON_PAPER], firms, lang),
        more=len(found) > ON_PAPER,
        sums=billed.sums_of(session, which) or [billed.Sums(zero("CNY"), zero("CNY"))],
        made_at=now,
        zone=zone.key,
    )


def _which(actor: Actor, asked: Asked, zone: ZoneInfo) -> billed.Which:
    firms: Collection[str] = [asked.organisation] if asked.organisation in actor.organisations else actor.organisations
    following = date(asked.month.year + asked.month.month // 12, asked.month.month % 12 + 1, 1)
    return billed.to_organisations(firms, local_midnight(asked.month, zone), local_midnight(following, zone))


def _rows(session: Session, made: Sequence[Statement], firms: dict[str, str], lang: Lang) -> list[BillRow]:
    rows = {row.id: row for row in booking.bookings_of_ids(session, {one.booking_id for one in made})}
    places = {row.id: row for row in catalogue.resources(session, {row.resource_id for row in rows.values()})}
    houses = {one.institution_id: people.get_institution(session, one.institution_id) for one in made}
    return [
        BillRow(
            booking_id=one.booking_id,
            number=number_of(one),
            institution=names.name_of(houses[one.institution_id], lang),
            resource=names.name_of(places[rows[one.booking_id].resource_id], lang),
            organisation=firms.get(one.organisation_id or "", ""),
            issued_at=one.created_at,
            zone=places[rows[one.booking_id].resource_id].timezone,
            state=one.state.value,
            charge=Money(one.firm_minor, one.currency),
            open_amount=left,
        )
        for one, left in zip(made, billed.open_amounts(session, made), strict=True)
    ]
