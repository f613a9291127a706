"""What a publisher's finance reads as income: every version that counts, each currency of its own, the sums of all."""

from datetime import timedelta

from sqlalchemy.orm import Session

from billing import actions, queries
from billing.billed.queries import by_institution, sums_of
from billing.quotes import actions as quoting
from billing.tables import StatementState
from booking.tables import Booking
from marketplace.permissions import Actor, Grant
from marketplace.roles import Role
from marketplace.tables import Institution
from tests.billing.test_card_flow import AFTER, START, a_use
from tests.billing.test_direct_flow import a_receipt, drafted
from tests.builders import a_booking, a_resource, an_institution, an_organisation
from web.present.income import income
from web.views.frame import Lang


def billed(db: Session, house: Institution, *, currency: str = "CNY") -> Booking:
    """Used, and its statement accepted."""
    firm, resource = an_organisation(db), a_resource(db, institution=house, currency=currency)
    booking = a_booking(db, resource=resource, organisation=firm, start=START)
    quoting.quote_booking(db, booking=booking, organisation=firm, payment_method=None, now=START - timedelta(days=3))
    a_use(db, booking)
    actions.accept_statement(db, statement_id=drafted(db, booking).id, actor_id="per_1", now=AFTER)
    return booking


def read(db: Session, house: Institution) -> list[tuple[str, str, str, str]]:
    """Of each currency: billed, received, outstanding."""
    actor = Actor("per_1", grants=frozenset({Grant(Role.FINANCE, institution_id=house.id)}))
    view = income(db, house, actor, lang=Lang.EN, now=AFTER)
    return [
        (one.billed.currency, str(one.billed.decimal), str(one.received.decimal), str(one.outstanding.decimal))
        for one in view.sums
    ]


def test_a_correction_counts_beside_what_it_corrects(db: Session) -> None:
    house = an_institution(db)
    booking = billed(db, house)
    assert read(db, house) == [("CNY", "525.00", "0.00", "525.00")]
    a_use(db, booking, minutes=82, number=2)
    actions.draft_statements(db, now=AFTER)
    assert queries.accepted_sums(db, booking.id) == (45000, 3600)
    assert read(db, house) == [("CNY", "450.00", "0.00", "450.00")]
    first = queries.statements_being_paid(db, booking.id)[0]
    actions.mark_received(db, statement_id=first.id, receipt=a_receipt(30000), actor_id="per_2", now=AFTER)
    assert read(db, house) == [("CNY", "450.00", "300.00", "150.00")]


def test_each_currency_is_summed_by_itself(db: Session) -> None:
    house = an_institution(db)
    billed(db, house)
    billed(db, house, currency="EUR")
    assert read(db, house) == [("CNY", "525.00", "0.00", "525.00"), ("EUR", "525.00", "0.00", "525.00")]


def test_what_waits_for_an_answer_is_outstanding_once(db: Session) -> None:
    house = an_institution(db)
    booking = billed(db, house)
    a_use(db, booking, minutes=150, number=2)
    [more] = actions.draft_statements(db, now=AFTER)
    assert queries.get_statement(db, more).state is StatementState.OPEN
    [sums] = sums_of(db, by_institution(house.id, START))
    assert sums.billed == sums.outstanding
    actor = Actor("per_1", grants=frozenset({Grant(Role.FINANCE, institution_id=house.id)}))
    rows = income(db, house, actor, lang=Lang.EN, now=AFTER).rows
    assert sum(row.open_amount.minor for row in rows) == sums.outstanding.minor
    assert len(rows) == 2


def test_of_nothing_there_are_sums_of_nothing(db: Session) -> None:
    assert read(db, an_institution(db)) == [("CNY", "0.00", "0.00", "0.00")]
