"""A firm's bills, a month at a time: every version that stands, what is still to be paid, and nothing of other firms."""

import csv
import io
from datetime import UTC, date, datetime, timedelta

from sqlalchemy.orm import Session

from billing import actions
from marketplace.permissions import Actor, Grant
from marketplace.roles import Role
from marketplace.tables import Institution
from tests.billing.test_card_flow import AFTER, a_use
from tests.builders import a_member, an_institution, an_organisation
from tests.web.desks import Desk
from tests.web.test_income import billed
from web.present.bills import Asked, bills, every_row
from web.views.frame import Lang

MARCH = Asked(date(2026, 3, 1))


def a_buyer(db: Session, *firms: str) -> Actor:
    person = a_member(db, Role.MEMBER, organisation=an_organisation(db))
    return Actor(person.id, grants=frozenset(Grant(Role.MEMBER, organisation_id=firm) for firm in firms))


def test_a_month_of_ones_firms_with_what_is_to_be_paid(db: Session) -> None:
    house = an_institution(db)
    mine, other = billed(db, house), billed(db, house)
    buyer = a_buyer(db, mine.organisation_id or "")
    view = bills(db, buyer, MARCH, lang=Lang.ZH, now=AFTER)
    [row] = view.rows
    assert (row.booking_id, str(row.charge.decimal), str(row.open_amount.decimal)) == (mine.id, "525.00", "525.00")
    assert view.organisations == []
    assert other.id not in {one.booking_id for one in view.rows}
    assert [str(one.outstanding.decimal) for one in view.sums] == ["525.00"]
    assert len(view.months) == 24
    assert bills(db, buyer, Asked(date(2026, 2, 1)), lang=Lang.ZH, now=AFTER).rows == []


def test_who_belongs_to_several_chooses(db: Session) -> None:
    house: Institution = an_institution(db)
    one, two = billed(db, house), billed(db, house)
    buyer = a_buyer(db, one.organisation_id or "", two.organisation_id or "")
    assert len(bills(db, buyer, MARCH, lang=Lang.EN, now=AFTER).rows) == 2
    chosen = Asked(MARCH.month, organisation=one.organisation_id or "")
    view = bills(db, buyer, chosen, lang=Lang.EN, now=AFTER)
    assert [row.booking_id for row in view.rows] == [one.id]
    assert [choice.chosen for choice in view.organisations].count(True) == 1
    assert [row.booking_id for row in every_row(db, buyer, chosen, lang=Lang.EN)] == [one.id]
    foreign = Asked(MARCH.month, organisation="org_none")
    assert len(every_row(db, buyer, foreign, lang=Lang.EN)) == 2


def test_a_month_begins_at_midnight_on_the_reader_s_calendar(db: Session) -> None:
    house = an_institution(db)
    booking = billed(db, house)
    buyer = a_buyer(db, booking.organisation_id or "")
    statement = actions.queries.statement_of_booking(db, booking.id)
    assert statement is not None
    statement.created_at = datetime(2026, 2, 28, 16, tzinfo=UTC)  # the first of March in Shanghai
    db.flush()
    assert len(bills(db, buyer, MARCH, lang=Lang.EN, now=AFTER).rows) == 1
    statement.created_at -= timedelta(microseconds=1)
    db.flush()
    assert bills(db, buyer, MARCH, lang=Lang.EN, now=AFTER).rows == []


def test_the_page_and_its_file_are_there_for_everybody_signed_in(desk: Desk) -> None:
    reader = desk.reader("manager")
    page = reader.get("/bills?month=none&cursor=x&organisation=org_none")
    assert (page.status_code, "Nothing was billed in this month." in page.text) == (200, True)
    file = reader.get("/bills.csv")
    assert next(csv.reader(io.StringIO(file.text.lstrip("\ufeff"))))[0] == "number"
    assert 'href="/en/bills"' in reader.get("/bookings").text


def test_what_is_owed_lies_in_the_month_of_the_version_that_charged_it(db: Session) -> None:
    house = an_institution(db)
    booking = billed(db, house)
    buyer = a_buyer(db, booking.organisation_id or "")
    first = actions.queries.statement_of_booking(db, booking.id)
    assert first is not None
    first.created_at = datetime(2026, 2, 10, tzinfo=UTC)
    a_use(db, booking, minutes=150, number=2)
    [more] = actions.draft_statements(db, now=AFTER)
    actions.accept_statement(db, statement_id=more, actor_id="per_1", now=AFTER)
    found = []
    for month in (date(2026, 2, 1), date(2026, 3, 1)):
        [sums] = bills(db, buyer, Asked(month), lang=Lang.EN, now=AFTER).sums
        found.append((sums.billed.minor, sums.outstanding.minor, sums.received.minor))
    later = actions.queries.get_statement(db, more).charge_minor
    assert found == [(52500, 52500, 0), (later, later, 0)]
