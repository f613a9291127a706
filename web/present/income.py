"""The publisher's income: statements with what has come in, by currency."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from billing.billed import queries as billed
from billing.tables import Statement
from booking import queries as booking
from booking.tables import Booking
from marketplace.catalogue import queries as catalogue
from marketplace.money import Money, zero
from marketplace.permissions import Actor
from marketplace.tables import Institution, Resource
from web.present import names
from web.present.bookings import number_of
from web.present.desk import customers, menu
from web.views.desk import IncomeRow, IncomeView
from web.views.frame import Lang

SHOWN = timedelta(days=90)
ON_PAGE = 200
IN_FILE = 20_000


def income(session: Session, house: Institution, actor: Actor, *, lang: Lang, now: datetime, most: int = ON_PAGE) -> IncomeView:
    """Statements of the last ninety days; zero and superseded ones left out. The sums are of all, `most` of them are listed."""
    which = billed.by_institution(house.id, now - SHOWN)
    made = billed.list_statements(session, which, limit=most)
    rows = {row.id: row for row in booking.bookings_of_ids(session, {one.booking_id for one in made})}
    places = {row.id: row for row in catalogue.resources(session, {row.resource_id for row in rows.values()})}
    who = customers(session, list(rows.values()))
    owed = billed.open_amounts(session, made)
    return IncomeView(
        institution=names.name_of(house, lang),
        institution_id=house.id,
        rows=[_row(one, left, rows[one.booking_id], places, who, lang) for one, left in zip(made, owed, strict=True)],
        sums=billed.sums_of(session, which) or [billed.Sums(zero("CNY"), zero("CNY"))],
        csv_url=f"/{lang.value}/desk/income.csv?institution={house.id}",
        menu=menu(actor, house.id),
    )


def _row(
    bill: Statement, left: Money, row: Booking, places: Mapping[str, Resource], who: Mapping[str, str], lang: Lang
) -> IncomeRow:
    place = places[row.resource_id]
    return IncomeRow(
        booking_id=row.id,
        number=number_of(bill),
        customer=who[row.id],
        resource=names.name_of(place, lang),
        issued_at=bill.created_at,
        zone=place.timezone,
        charge=Money(bill.firm_minor, bill.currency),
        programmes=Money(bill.programme_minor, bill.currency),
        open_amount=left,
        state=bill.state.value,
        funding=bill.funding.value,
    )
