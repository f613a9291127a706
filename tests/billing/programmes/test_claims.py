"""What programmes are asked for: paid, passed on, or rejected and owed by the firm; the worked case B16 whole."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.orm import Session, sessionmaker

from billing import actions, invariants, ledger, outbox, queries
from billing.claims import actions as claims
from billing.claims import queries as claim_queries
from billing.claims.tables import ClaimState
from billing.payments import payouts
from billing.programmes.choosing import Mode
from billing.programmes.queries import get_programme
from billing.programmes.tables import Entitlement
from billing.quotes import actions as quoting
from billing.settlement import Funding
from billing.tables import Statement, StatementState
from booking.states import BookingState
from booking.tables import Booking
from marketplace.money import Money
from marketplace.refusals import Invalid, NotFound, WrongState
from marketplace.tables import Organisation, Settlement
from tests.billing.conftest import Stripe, work
from tests.billing.test_card_flow import AFTER, BEFORE, START, a_use, journal
from tests.builders import a_booking, a_programme, a_resource, an_entitlement, an_institution, an_organisation

B16 = next(
    one
    for one in json.loads((Path(__file__).parents[2] / "data/billing_cases.json").read_text())["scenarios"]
    if one["id"] == "B16"
)
LATER = AFTER + timedelta(days=40)
TODAY = date(2026, 4, 20)


def used(
    db: Session, *, amount: int = 1_000_000, rate: str = "0.5", minutes: int = 97, **said: Mode
) -> tuple[Booking, Entitlement]:
    """A bill of 525.00 that was accepted, of which a programme pays half; the house is paid directly."""
    firm = an_organisation(db)
    granted = an_entitlement(db, a_programme(db, years=[rate], **said), firm, amount)
    booking = a_booking(db, organisation=firm, start=START)
    quoting.quote_booking(db, booking=booking, organisation=firm, payment_method=None, now=BEFORE)
    a_use(db, booking, minutes=minutes)
    accept(db, booking, AFTER)
    return booking, granted


def funded_use(db: Session, granted: Entitlement, now: datetime) -> Booking:
    """Another bill of 525.00 that was accepted, of which the same grant pays half."""
    firm = db.get_one(Organisation, granted.organisation_id)
    booking = a_booking(db, organisation=firm, start=START)
    quoting.quote_booking(db, booking=booking, organisation=firm, payment_method=None, now=BEFORE)
    a_use(db, booking)
    accept(db, booking, now)
    return booking


def accept(db: Session, booking: Booking, now: datetime) -> Statement:
    actions.draft_statements(db, now=now)
    statement = queries.statement_of_booking(db, booking.id)
    assert statement is not None
    if statement.state is StatementState.OPEN:
        actions.accept_statement(db, statement_id=statement.id, actor_id="per_1", now=now)
    return statement


def claimed(db: Session, programme_id: str, now: datetime = LATER) -> str:
    return claims.claim(db, programme_id=programme_id, since=BEFORE, until=now, actor_id="per_1", now=now).id


def pay(db: Session, programme_id: str, claim_id: str, serial: str = "CZ-2026-0001") -> None:
    claims.pay(
        db,
        programme_id=programme_id,
        claim_id=claim_id,
        serial=serial,
        received_on=TODAY,
        actor_id="per_1",
        now=LATER,
    )


def reject(db: Session, programme_id: str, claim_id: str, *booking_ids: str) -> ClaimState:
    row = claims.reject(
        db,
        programme_id=programme_id,
        claim_id=claim_id,
        reason="合同缺失",
        actor_id="per_1",
        now=LATER,
        booking_ids=booking_ids,
    )
    return row.state


def sums(db: Session, booking: Booking) -> dict[str, int]:
    return {account.value: v for account, v in ledger.balances(queries.journal_of_booking(db, booking.id)).items()}


@pytest.mark.parametrize(
    ("starts", "uncapped"),
    [("2026-12-31T23:30:00+08:00", 26250), ("2027-01-01T00:00:00+08:00", 15750)],
)
def test_b16_from_the_quote_to_the_last_transfer(
    committed_db: sessionmaker[Session], stripe: Stripe, starts: str, uncapped: int
) -> None:
    """A year's border on both sides; with 120.00 left the whole journal of the case, as it stands there."""
    start = datetime.fromisoformat(starts).astimezone(UTC)
    before, after = start - timedelta(days=1), start + timedelta(hours=3)
    with committed_db.begin() as session:
        house, firm = an_institution(session, settlement=Settlement.PLATFORM_COLLECTS), an_organisation(session)
        payouts.set_payout_account(session, institution_id=house.id, account_id="acct_test", actor_id=None, now=before)
        programme = a_programme(session)
        year = 1 if uncapped == 26250 else 2
        left = an_entitlement(session, programme, firm, 12000, year=year)
        booking = a_booking(session, resource=a_resource(session, institution=house), organisation=firm, start=start)
        booking.state = BookingState.HELD
        quoting.quote_booking(session, booking=booking, organisation=firm, payment_method="pm_card_visa", now=before)
        assert left.reserved_minor == B16["expect"]["subsidy"]
    work(committed_db, stripe, before)
    with committed_db.begin() as session:
        row = session.get_one(Booking, booking.id)
        row.state = BookingState.CONFIRMED
        pieces = [{"start": start.isoformat(), "end": (start + timedelta(minutes=97)).isoformat(), "state": "RUN"}]
        a_use(session, row, pieces=pieces, created_at=after)
        statement = accept(session, row, after)
        expected = B16["expect"]
        assert (statement.charge_minor, statement.programme_minor) == (expected["charge"], expected["subsidy"])
        assert (statement.firm_minor, statement.fee_minor) == (expected["customer_pays"], expected["platform_fee"])
    work(committed_db, stripe, after)
    later = after + timedelta(days=40)
    with committed_db.begin() as session:
        assert queries.payments_of(session, booking.id)[0].captured_minor == expected["captured"]
        assert queries.payments_of(session, booking.id)[0].transferred_minor == expected["transfer_now"]
        asked = claims.claim(session, programme_id=programme.id, since=before, until=later, actor_id="per_1", now=later)
        names = {"programme_id": programme.id, "claim_id": asked.id, "actor_id": "per_1", "now": later}
        claims.pay(session, serial="CZ-1", received_on=TODAY, **names)
        passed = claims.pass_on(session, institution_id=house.id, serial="PB-1", **names)
        assert passed.amount_minor == expected["payout_after_programme_pays"]
    with committed_db() as session:
        assert journal(session, booking.id) == {one["kind"]: one["legs"] for one in B16["journal"]}
        assert sums(session, booking) == B16["end_balances"]
        assert invariants.violations(session) == []
        assert invariants.provider_violations(session, stripe.provider.balance()) == []
        paid = session.get_one(Entitlement, left.id)
        assert (paid.reserved_minor, paid.used_minor) == (0, 12000)
    with committed_db.begin() as session:  # and without the cap
        rich = an_organisation(session)
        an_entitlement(session, programme, rich, year=year)
        other = a_booking(session, organisation=rich, start=start)
        quoting.quote_booking(session, booking=other, organisation=rich, payment_method=None, now=before)
        a_use(session, other, pieces=pieces, created_at=after)
        assert accept(session, other, after).programme_minor == uncapped


def test_a_programme_pays_a_house_that_is_paid_directly_itself(db: Session) -> None:
    booking, granted = used(db)
    claim_id = claimed(db, granted.programme_id)
    pay(db, granted.programme_id, claim_id)
    assert journal(db, booking.id)["voucher_paid"] == {"IPC": 26250, "VR": -26250}
    assert invariants.violations(db) == []
    with pytest.raises(WrongState):
        claims.pass_on(
            db,
            programme_id=granted.programme_id,
            claim_id=claim_id,
            institution_id=booking.institution_id,
            serial="1",
            actor_id="per_1",
            now=LATER,
        )


def test_a_rejected_claim_is_owed_by_the_firm_which_has_its_grant_back(db: Session) -> None:
    booking, granted = used(db)
    receipt = actions.Receipt("FIRM-1", Money(26250, "CNY"), TODAY)
    statement = queries.statement_of_booking(db, booking.id)
    assert statement is not None
    actions.mark_received(db, statement_id=statement.id, receipt=receipt, actor_id="per_1", now=AFTER)
    assert statement.state is StatementState.SETTLED
    assert reject(db, granted.programme_id, claimed(db, granted.programme_id)) is ClaimState.REJECTED
    fallen = queries.statement_of_booking(db, booking.id)
    assert fallen is not None
    assert (fallen.number, fallen.state, fallen.charge_minor, fallen.firm_minor) == (2, StatementState.ACCEPTED, 0, 26250)
    assert fallen.lines[0]["amount"]["minor"] == 26250
    assert (granted.used_minor, sums(db, booking)) == (0, {"AR": 26250, "IP": -26250, "IFR": 4200, "FEE": -4200})
    assert invariants.violations(db) == []
    again = actions.Receipt("FIRM-2", Money(26250, "CNY"), TODAY)
    actions.mark_received(db, statement_id=fallen.id, receipt=again, actor_id="per_1", now=LATER)
    assert (fallen.state, sums(db, booking)) == (StatementState.SETTLED, {"IFR": 4200, "FEE": -4200})
    assert invariants.violations(db) == []


def test_what_was_rejected_is_not_asked_for_again_by_a_correction(db: Session) -> None:
    booking, granted = used(db)
    reject(db, granted.programme_id, claimed(db, granted.programme_id))
    a_use(db, booking, minutes=120, number=2)
    statement = accept(db, booking, LATER)
    assert (statement.programme_minor, granted.used_minor) == (0, 0)
    assert invariants.violations(db) == []


def test_a_part_of_a_claim_is_rejected_and_the_rest_paid(db: Session) -> None:
    firm, programme = an_organisation(db), a_programme(db, years=["0.5"])
    granted = an_entitlement(db, programme, firm)
    bookings = [a_booking(db, organisation=firm, start=START) for _ in range(2)]
    for booking in bookings:
        quoting.quote_booking(db, booking=booking, organisation=firm, payment_method=None, now=BEFORE)
        a_use(db, booking)
        accept(db, booking, AFTER)
    claim_id = claimed(db, programme.id)
    with pytest.raises(NotFound):
        reject(db, programme.id, claim_id, "bk_other")
    assert reject(db, programme.id, claim_id, bookings[0].id) is ClaimState.SUBMITTED
    pay(db, programme.id, claim_id)
    assert granted.used_minor == 26250
    assert [sums(db, one).get("AR", 0) for one in bookings] == [52500, 26250]
    assert "voucher_paid" not in journal(db, bookings[0].id)
    assert invariants.violations(db) == []


def test_what_was_paid_too_much_is_set_off_by_the_next_claim(db: Session) -> None:
    booking, granted = used(db, minutes=120)
    programme_id = granted.programme_id
    pay(db, programme_id, claimed(db, programme_id))
    a_use(db, booking, minutes=60, number=2)
    accept(db, booking, LATER)
    assert sums(db, booking)["VR"] == -15000
    with pytest.raises(WrongState):
        claimed(db, programme_id, LATER + timedelta(days=1))
    firm = an_organisation(db)
    entitled = an_entitlement(db, get_programme(db, programme_id), firm)
    other = a_booking(db, organisation=firm, start=START)
    quoting.quote_booking(db, booking=other, organisation=firm, payment_method=None, now=BEFORE)
    a_use(db, other)
    accept(db, other, LATER)
    assert entitled.used_minor == 26250
    claim_id = claimed(db, programme_id, LATER + timedelta(days=1))
    assert invariants.violations(db) == []
    pay(db, programme_id, claim_id, "CZ-2026-0002")
    assert sums(db, booking).get("VR", 0) == 0
    assert invariants.violations(db) == []


def test_where_a_rejection_leaves_only_what_was_paid_too_much_the_claim_is_closed(db: Session) -> None:
    booking, granted = used(db, minutes=120)
    programme_id, day = granted.programme_id, timedelta(days=1)
    pay(db, programme_id, claimed(db, programme_id))
    a_use(db, booking, minutes=60, number=2)
    accept(db, booking, LATER)
    others = [funded_use(db, granted, LATER) for _ in range(2)]
    claim_id = claimed(db, programme_id, LATER + day)
    assert reject(db, programme_id, claim_id, others[0].id) is ClaimState.SUBMITTED
    assert reject(db, programme_id, claim_id, others[1].id) is ClaimState.REJECTED
    assert (sums(db, booking)["VR"], claim_queries.to_claim(db, get_programme(db, programme_id))) == (
        -15000,
        Money(-15000, "CNY"),
    )
    assert [one.share.booking_id in {other.id for other in others} for one in claim_queries.lines_of(db, claim_id)] == [
        True,
        True,
    ]
    assert invariants.violations(db) == []


def test_a_claim_with_a_correction_downwards_is_paid(db: Session) -> None:
    booking, granted = used(db, minutes=120)
    a_use(db, booking, minutes=60, number=2)
    accept(db, booking, LATER)
    claim_id = claimed(db, granted.programme_id, LATER + timedelta(days=1))
    pay(db, granted.programme_id, claim_id)
    row = claim_queries.get_claim(db, granted.programme_id, claim_id)
    assert (row.state, row.amount_minor, row.paid_minor) == (ClaimState.PAID, 15000, 15000)
    assert sums(db, booking).get("VR", 0) == 0
    assert invariants.violations(db) == []


def test_a_bill_that_waits_for_its_answer_comes_before_a_rejection(db: Session) -> None:
    booking, granted = used(db, minutes=60)
    claim_id = claimed(db, granted.programme_id)
    a_use(db, booking, minutes=120, number=2)
    actions.draft_statements(db, now=AFTER)
    with pytest.raises(WrongState) as refused:
        reject(db, granted.programme_id, claim_id)
    assert refused.value.values["state"] == "bill_open"


def test_a_firm_that_is_paid_back_owes_nothing_more_after_a_rejection(db: Session) -> None:
    booking, granted = used(db, mode=Mode.REIMBURSE)
    posted = sums(db, booking)
    assert reject(db, granted.programme_id, claimed(db, granted.programme_id)) is ClaimState.REJECTED
    assert (granted.used_minor, sums(db, booking)) == (0, posted)
    assert invariants.violations(db) == []


def test_a_payment_is_entered_once(db: Session) -> None:
    _, granted = used(db)
    claim_id = claimed(db, granted.programme_id)
    names = {"programme_id": granted.programme_id, "claim_id": claim_id, "actor_id": "per_1", "now": LATER}
    with pytest.raises(Invalid):
        claims.pay(db, serial="1", received_on=date(1, 1, 1), **names)
    pay(db, granted.programme_id, claim_id)
    with pytest.raises(WrongState):
        pay(db, granted.programme_id, claim_id)
    with pytest.raises(WrongState):
        reject(db, granted.programme_id, claim_id)


def test_a_period_lies_in_the_past(db: Session) -> None:
    _, granted = used(db)
    for since, until in ((AFTER, AFTER), (AFTER, LATER + timedelta(seconds=1))):
        with pytest.raises(Invalid):
            claims.claim(db, programme_id=granted.programme_id, since=since, until=until, actor_id="per_1", now=LATER)


def test_a_fee_that_the_firm_does_not_cover_comes_off_what_the_programme_pays(db: Session) -> None:
    """600.00, fee 48.00; of 95 % paid by the programme 30.00 are left in cash, so 18.00 of the fee wait for it."""
    house, firm = an_institution(db, settlement=Settlement.PLATFORM_COLLECTS), an_organisation(db)
    programme = a_programme(db, years=["0.95"])
    an_entitlement(db, programme, firm)
    booking = a_booking(db, resource=a_resource(db, institution=house), organisation=firm, start=START)
    quoting.quote_bookings(db, bookings=[booking], organisation=firm, funding=Funding.CARD, now=BEFORE)
    a_use(db, booking, minutes=120)
    accept(db, booking, AFTER)
    assert journal(db, booking.id)["usage_charge"] == {"AR": 3000, "VR": 57000, "IPC": -55200, "FEE": -4800}
    claim_id = claimed(db, programme.id)
    pay(db, programme.id, claim_id)
    assert journal(db, booking.id)["voucher_paid"] == {"BANK": 57000, "VR": -57000}
    assert journal(db, booking.id)["voucher_released"] == {"IPC": 55200, "IP": -55200}
    names = {"programme_id": programme.id, "claim_id": claim_id, "actor_id": "per_1", "now": LATER}
    assert claims.pass_on(db, institution_id=house.id, serial="PB-1", **names).amount_minor == 55200
    assert sums(db, booking) == {"AR": 3000, "BANK": 1800, "FEE": -4800}
    with pytest.raises(WrongState):
        claims.pass_on(db, institution_id=house.id, serial="PB-2", **names)
    assert invariants.violations(db) == []


def test_what_an_institution_was_passed_on_too_much_is_set_off_by_its_next_transfer(db: Session) -> None:
    """Of one house 300.00 were passed on and 150.00 were too much; then two bookings of 262.50 come in two claims."""
    house, other = (an_institution(db, settlement=Settlement.PLATFORM_COLLECTS) for _ in range(2))
    firm, programme = an_organisation(db), a_programme(db, years=["0.5"])
    an_entitlement(db, programme, firm)
    places = [a_resource(db, institution=one) for one in (house, other, house)]
    bookings = [a_booking(db, resource=place, organisation=firm, start=START) for place in places]
    for booking in bookings:
        quoting.quote_bookings(db, bookings=[booking], organisation=firm, funding=Funding.CARD, now=BEFORE)

    def paid(day: int, booking: Booking, **use: int) -> str:
        at = LATER + timedelta(days=day)
        a_use(db, booking, **use)
        accept(db, booking, at)
        claim_id = claimed(db, programme.id, at + timedelta(hours=1))
        pay(db, programme.id, claim_id, f"CZ-{day}")
        return claim_id

    def due(claim_id: str) -> dict[str, int]:
        row = claim_queries.get_claim(db, programme.id, claim_id)
        return {one.institution_id: one.amount.minor for one in claim_queries.to_pass_on(db, row, programme)}

    def pass_on(claim_id: str, to: str) -> int:
        names = {"programme_id": programme.id, "claim_id": claim_id, "actor_id": "per_1", "now": LATER}
        return claims.pass_on(db, institution_id=to, serial=f"PB-{claim_id}-{to}", **names).amount_minor

    assert pass_on(paid(0, bookings[0], minutes=120), house.id) == 30000
    a_use(db, bookings[0], minutes=60, number=2)
    accept(db, bookings[0], LATER)
    second = paid(1, bookings[1], minutes=97)
    assert due(second) == {house.id: -15000, other.id: 26250}
    with pytest.raises(WrongState):
        pass_on(second, house.id)
    assert pass_on(second, other.id) == 26250
    third = paid(2, bookings[2], minutes=97)
    assert due(third) == {house.id: 11250}
    assert pass_on(third, house.id) == 11250
    assert (due(third), due(second)[house.id]) == ({house.id: 11250}, -15000)
    assert [{key: sums(db, one).get(key, 0) for key in ("VR", "IPC", "BANK")} for one in bookings] == [
        {"VR": 0, "IPC": 0, "BANK": 0}
    ] * 3
    assert invariants.violations(db) == []


def test_after_a_rejection_the_card_is_asked_for_the_rest_and_the_house_gets_its_share(
    committed_db: sessionmaker[Session], stripe: Stripe
) -> None:
    with committed_db.begin() as session:
        house, firm = an_institution(session, settlement=Settlement.PLATFORM_COLLECTS), an_organisation(session)
        payouts.set_payout_account(session, institution_id=house.id, account_id="acct_test", actor_id=None, now=BEFORE)
        programme = a_programme(session, years=["0.5"])
        an_entitlement(session, programme, firm)
        booking = a_booking(session, resource=a_resource(session, institution=house), organisation=firm, start=START)
        booking.state = BookingState.HELD
        quoting.quote_booking(session, booking=booking, organisation=firm, payment_method="pm_card_visa", now=BEFORE)
    work(committed_db, stripe, BEFORE)
    with committed_db.begin() as session:
        row = session.get_one(Booking, booking.id)
        row.state = BookingState.CONFIRMED
        a_use(session, row)
        accept(session, row, AFTER)
    work(committed_db, stripe, AFTER)
    with committed_db.begin() as session:
        assert sums(session, booking) == {"VR": 26250, "IPC": -26250, "FEE": -4200, "PSP": 3107, "PFE": 1093}
        reject(session, programme.id, claimed(session, programme.id))
    work(committed_db, stripe, LATER)
    with committed_db() as session:
        assert sums(session, booking) == {"FEE": -4200, "PSP": 2014, "PFE": 2186}
        assert [made["amount"] for made in stripe.state.shop.all("transfer")] in ([22050, 26250], [26250, 22050])
        assert invariants.violations(session) == []
        assert invariants.provider_violations(session, stripe.provider.balance()) == []
        assert outbox.claim(session, now=LATER) is None
