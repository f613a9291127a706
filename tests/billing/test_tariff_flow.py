"""Tariffs, taxes and billed buffers as they are stored: frozen with a booking, charged, posted, looked back on."""

from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session, sessionmaker

from billing import actions, cancelling, invariants, queries
from billing import policy as policies
from billing.lookback import effect
from billing.objections import actions as objections
from billing.quotes import actions as quoting
from billing.quotes.queries import get_offer, is_as_agreed, terms_of
from billing.settlement import Funding
from billing.tables import Statement
from booking.actions import book
from booking.admission import Wish
from booking.states import BookingState
from booking.tables import Booking, Category, RuleVersion
from marketplace.money import Money
from marketplace.slot import Slot
from marketplace.tables import CustomerClass, Organisation, Resource
from tests.billing.conftest import Stripe, work
from tests.billing.test_card_flow import a_card_booking, a_use, journal
from tests.billing.test_direct_flow import AFTER, START, a_receipt, drafted, yuan
from tests.builders import a_booking, a_person, a_resource, an_organisation

BEFORE = START - timedelta(days=3)
EARLY = {"window": {"from": "09:00", "to": "10:00"}, "price": 20000}
"""The first of the two booked hours: 09:00 to 11:00 in Shanghai."""
TAX = {"rate": "0.13", "mode": "added"}
HELP = {"assisted": True, "price": 45000}


def priced(db: Session, resource: Resource, **policy: Any) -> None:
    actions.set_policy(db, resource_id=resource.id, policy=policy, actor_id="per_1", now=BEFORE)


def quoted(db: Session, booking: Booking, method: str | None = None) -> Money:
    firm = db.get_one(Organisation, booking.organisation_id)
    return quoting.quote_booking(db, booking=booking, organisation=firm, payment_method=method, now=BEFORE)


def under(db: Session, **policy: Any) -> Booking:
    """A booking of two hours of a resource at 300.00 with that policy."""
    resource = a_resource(db)
    priced(db, resource, **policy)
    return a_booking(db, resource=resource, organisation=an_organisation(db), start=START)


def lines(statement: Statement) -> list[tuple[str, float, int]]:
    return [(one["code"], one.get("minutes", 0), one["amount"]["minor"]) for one in statement.lines]


def test_a_quote_and_its_bill_are_cut_at_the_windows_border(db: Session) -> None:
    booking = under(db, tariff=[EARLY])
    assert quoted(db, booking) == yuan(50000)
    a_use(db, booking, minutes=97)
    statement = drafted(db, booking)
    assert lines(statement) == [("usage", 60, 20000), ("usage", 45, 22500)]
    assert (statement.charge_minor, statement.billed_s, statement.fee_minor) == (42500, 6300, 3400)
    assert statement.lines[0]["price_per_hour"] == {"minor": 20000, "currency": "CNY"}


def test_an_accepted_booking_keeps_the_tariff_of_its_acceptance(db: Session) -> None:
    booking = under(db, tariff=[EARLY], tax=TAX)
    assert quoted(db, booking) == yuan(56500)
    priced(db, db.get_one(Resource, booking.resource_id), tariff=[{**EARLY, "price": 90000}])
    assert quoting.requote_booking(db, booking=booking, now=BEFORE) == yuan(56500)
    a_use(db, booking, minutes=120)
    assert drafted(db, booking).charge_minor == 56500
    quote = queries.quote_of_booking(db, booking.id)
    assert policies.fingerprint(quote.policy) == quote.policy_digest


def test_a_moved_booking_pays_by_the_window_it_comes_to_and_an_operator_by_the_rule_for_one(db: Session) -> None:
    booking = under(db, tariff=[EARLY, {**HELP, "window": {"from": "12:00", "to": "24:00"}}])
    assert quoted(db, booking) == yuan(50000)
    booking.slot = Slot(START + timedelta(hours=3), START + timedelta(hours=5))
    assert quoting.requote_booking(db, booking=booking, now=BEFORE) == yuan(60000)
    booking.assisted = True
    assert quoting.requote_booking(db, booking=booking, now=BEFORE) == yuan(90000)
    assert queries.quote_of_booking(db, booking.id).assisted


def test_a_class_meets_its_own_rules_and_ones_own_house_pays_nothing(db: Session) -> None:
    resource = a_resource(db)
    priced(db, resource, tariff=[{"class": "academic", **EARLY}, HELP])
    school = an_organisation(db, customer_class=CustomerClass.ACADEMIC)
    booking = a_booking(db, resource=resource, organisation=school, start=START)
    assert quoted(db, booking) == yuan(50000)
    assert queries.quote_of_booking(db, booking.id).price_class == "academic"
    assert quoted(db, a_booking(db, resource=resource, organisation=an_organisation(db), start=START)) == yuan(60000)
    own = a_booking(db, resource=resource, start=START, organisation_id=None, assisted=True)
    [nothing] = quoting.quote_bookings(db, bookings=[own], organisation=None, funding=Funding.BANK, now=BEFORE)
    assert nothing == yuan(0)
    quote = queries.quote_of_booking(db, own.id)
    assert policies.PRICES[1] not in quote.policy
    assert quoting.requote_booking(db, booking=own, now=BEFORE) == yuan(0)


def test_added_tax_is_posted_beside_what_the_institution_keeps_and_every_sum_agrees(db: Session) -> None:
    booking = under(db, tax=TAX)
    quoted(db, booking)
    a_use(db, booking)
    statement = drafted(db, booking)
    assert lines(statement) == [("usage", 105, 52500), ("tax", 0, 6825)]
    assert (statement.charge_minor, statement.tax_minor, statement.fee_minor) == (59325, 6825, 4200)
    actions.accept_statement(db, statement_id=statement.id, actor_id="per_1", now=AFTER)
    assert journal(db, booking.id) == {"direct_charge": {"AR": 59325, "IP": -52500, "TAX": -6825, "IFR": 4200, "FEE": -4200}}
    actions.mark_received(db, statement_id=statement.id, receipt=a_receipt(59325), actor_id="per_2", now=AFTER)
    assert invariants.violations(db) == []
    statement.tax_minor = 0
    db.flush()
    assert len(invariants.violations(db)) == 1


def test_a_correction_takes_its_tax_back(db: Session) -> None:
    booking = under(db, tax={"rate": "0.06", "mode": "included"})
    quoted(db, booking)
    a_use(db, booking, minutes=97)
    first = drafted(db, booking)
    assert (first.charge_minor, first.tax_minor, first.fee_minor) == (52500, 2972, 3962)
    actions.accept_statement(db, statement_id=first.id, actor_id="per_1", now=AFTER)
    a_use(db, booking, minutes=60, number=2)
    second = drafted(db, booking)
    assert (second.charge_minor, second.tax_minor) == (-22500, 1698 - 2972)
    assert queries.accepted_tax(db, booking.id) == 1698
    assert queries.accepted_sums(db, booking.id) == (30000, 2264)
    assert invariants.violations(db) == []


def test_a_settled_dispute_keeps_the_tax_of_its_amount(db: Session) -> None:
    booking = under(db, tax=TAX)
    quoted(db, booking)
    a_use(db, booking)
    statement = drafted(db, booking)
    objections.dispute_statement(db, statement_id=statement.id, reason="too much", actor_id="per_1", now=AFTER)
    resolved = objections.resolve_dispute(db, statement_id=statement.id, charge=yuan(33900), actor_id="per_2", now=AFTER)
    assert (resolved.tax_minor, resolved.fee_minor) == (3900, 2400)


def test_a_fee_for_cancelling_contains_its_tax(db: Session) -> None:
    booking = under(db, tax=TAX)
    assert quoted(db, booking) == yuan(67800)
    booking.decided_at, booking.state = BEFORE, BookingState.CANCELLED
    fee = cancelling.settle_cancellation(db, booking=booking, free=False, now=START - timedelta(hours=30))
    statement = queries.statement_of_booking(db, booking.id)
    assert fee == yuan(16950)
    assert statement is not None
    assert (statement.charge_minor, statement.tax_minor, statement.fee_minor) == (16950, 1950, 1200)
    assert lines(statement) == [("cancellation", 0, 16950), ("tax", 0, 0)]
    assert invariants.violations(db) == []


def booked_with_buffers(db: Session) -> Booking:
    resource = a_resource(db)
    db.query(RuleVersion).where(RuleVersion.resource_id == resource.id).update({"setup_min": 30, "cleaning_min": 15})
    firm = an_organisation(db)
    wish = Wish(resource.id, Slot(START, START + timedelta(hours=2)), a_person(db).id, firm.id, Category.EXT)
    return book(db, wish=wish, now=BEFORE)


def test_set_up_and_cleaning_are_what_the_claim_keeps_clear_and_are_billed_with_a_use_only(db: Session) -> None:
    booking = booked_with_buffers(db)
    priced(db, db.get_one(Resource, booking.resource_id), setup_billed=True, cleanup_billed=True)
    assert quoted(db, booking) == yuan(82500)
    a_use(db, booking)
    assert lines(drafted(db, booking)) == [("usage", 105, 52500), ("setup", 30, 15000), ("cleanup", 15, 7500)]
    booking.state = BookingState.COMPLETED
    db.flush()
    plain = effect(db, resource_id=booking.resource_id, policy=policies.DEFAULT, now=AFTER)
    assert [(one.before, one.after) for one in plain.bills] == [(yuan(75000), yuan(52500))]


def test_set_up_is_not_billed_unless_the_policy_says_so(db: Session) -> None:
    booking = booked_with_buffers(db)
    assert quoted(db, booking) == yuan(60000)
    booking.state = BookingState.COMPLETED
    a_use(db, booking)
    billed = policies.parse({"setup_billed": True})
    found = effect(db, resource_id=booking.resource_id, policy=billed, now=AFTER)
    assert [(one.before, one.after) for one in found.bills] == [(yuan(52500), yuan(67500))]


def test_a_look_back_bills_by_the_prices_of_another_tariff(db: Session) -> None:
    booking = under(db, tariff=[EARLY])
    quoted(db, booking)
    a_use(db, booking, minutes=97)
    booking.state = BookingState.COMPLETED
    db.flush()
    look = lambda **policy: [  # noqa: E731
        (one.before.minor, one.after.minor)
        for one in effect(db, resource_id=booking.resource_id, policy=policies.parse(policy), now=AFTER).bills
    ]
    assert look(tariff=[EARLY]) == [(42500, 42500)]
    assert look() == [(42500, 52500)]
    assert look(tariff=[{**EARLY, "price": 10000}], tax=TAX) == [(42500, 36725)]
    assert look(class_prices={"industry": 10000}) == [(42500, 17500)]


def test_another_resource_is_as_agreed_only_at_no_higher_price_and_the_same_tax(db: Session) -> None:
    booking = under(db, tariff=[EARLY])
    quoted(db, booking)
    there = a_resource(db)
    as_agreed = lambda: is_as_agreed(db, booking, get_offer(db, there.id, booking.organisation_id))  # noqa: E731
    assert not as_agreed()
    priced(db, there, tariff=[{**EARLY, "price": 19000}])
    assert as_agreed()
    priced(db, there, tariff=[{**EARLY, "price": 19000}], tax={"rate": "0.06", "mode": "included"})
    assert not as_agreed()


def test_policies_of_many_resources_are_read_at_once(db: Session) -> None:
    booking, plain = under(db, tariff=[EARLY]), a_resource(db)
    found = terms_of(db, [booking.resource_id, plain.id])
    assert list(found) == [booking.resource_id]
    assert len(found[booking.resource_id].policy.tariff) == 1


def test_a_card_pays_tax_and_all_and_the_institution_gets_it_with_the_rest(
    committed_db: sessionmaker[Session], stripe: Stripe
) -> None:
    with committed_db.begin() as session:
        booking = a_card_booking(session, policy={"tax": TAX, "tariff": [EARLY]})
    work(committed_db, stripe, START)
    with committed_db.begin() as session:
        row = session.get_one(Booking, booking.id)
        row.state = BookingState.CONFIRMED
        a_use(session, row)
        [statement_id] = actions.draft_statements(session, now=AFTER)
        actions.accept_statement(session, statement_id=statement_id, actor_id="per_1", now=AFTER)
    work(committed_db, stripe, AFTER)
    with committed_db() as session:
        posted = journal(session, booking.id)
        assert posted["usage_charge"] == {"AR": 48025, "IP": -39100, "TAX": -5525, "FEE": -3400}
        assert posted["payment_captured"] == {"PSP": 48025, "AR": -48025}
        assert posted["transfer_out"] == {"IP": 44625, "PSP": -44625}
        assert invariants.violations(session) == []
        assert invariants.provider_violations(session, stripe.provider.balance()) == []
