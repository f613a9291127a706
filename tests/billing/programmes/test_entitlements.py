"""Entitlements of bookings: reserved with the quote, used when the bill is accepted, given back; by hand-worked amounts."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from billing import actions, cancelling, invariants, ledger, queries
from billing.objections import actions as objections
from billing.programmes import granting, lookback
from billing.programmes import queries as of_programmes
from billing.programmes.choosing import Base, Mode
from billing.programmes.granting import Grant, Rule
from billing.programmes.tables import Entitlement
from billing.quotes import actions as quoting
from billing.tables import Statement, StatementState
from booking.states import BookingState
from booking.tables import Booking
from marketplace.money import Money
from marketplace.refusals import Invalid, WrongState
from marketplace.tables import Organisation
from tests.billing.test_card_flow import AFTER, BEFORE, START, a_use, journal
from tests.builders import a_booking, a_programme, a_resource, an_entitlement, an_organisation


def a_quoted(db: Session, firm: Organisation, **values: Any) -> Booking:
    """Two hours at 300.00."""
    booking = a_booking(db, organisation=firm, **{"start": START, **values})
    quoting.quote_booking(db, booking=booking, organisation=firm, payment_method=None, now=BEFORE)
    return booking


def has(row: Entitlement) -> tuple[int, int]:
    return row.reserved_minor, row.used_minor


def drafted(db: Session, booking: Booking) -> Statement:
    actions.draft_statements(db, now=AFTER)
    found = queries.statement_of_booking(db, booking.id)
    assert found is not None
    return found


def accepted(db: Session, booking: Booking) -> Statement:
    return actions.accept_statement(db, statement_id=drafted(db, booking).id, actor_id="per_1", now=AFTER)


def test_a_quote_reserves_and_an_accepted_bill_uses(db: Session) -> None:
    firm = an_organisation(db)
    granted = an_entitlement(db, a_programme(db, years=["0.5"]), firm)
    booking = a_quoted(db, firm)
    assert has(granted) == (30000, 0)
    a_use(db, booking)
    statement = drafted(db, booking)
    assert (statement.charge_minor, statement.programme_minor, statement.firm_minor) == (52500, 26250, 26250)
    assert [(line["code"], line["amount"]["minor"]) for line in statement.lines] == [("usage", 52500), ("programme", -26250)]
    assert statement.lines[-1]["name"] == "中试服务退坡补贴"
    actions.accept_statement(db, statement_id=statement.id, actor_id="per_1", now=AFTER)
    assert has(granted) == (0, 26250)
    owed = {"AR": 26250, "VR": 26250, "IP": -26250, "IPC": -26250, "IFR": 4200, "FEE": -4200}
    assert journal(db, booking.id) == {"direct_charge": owed}
    assert invariants.violations(db) == []


def test_overtime_is_paid_from_what_is_left_beyond_the_quote(db: Session) -> None:
    firm = an_organisation(db)
    granted = an_entitlement(db, a_programme(db, years=["0.5"]), firm, 40000)
    booking = a_quoted(db, firm)
    a_use(db, booking, minutes=165)  # 120 min 600.00, 45 min x 1.5 337.50
    statement = drafted(db, booking)
    assert (statement.charge_minor, statement.programme_minor) == (93750, 40000)
    assert has(granted) == (40000, 0)
    actions.accept_statement(db, statement_id=statement.id, actor_id="per_1", now=AFTER)
    assert has(granted) == (0, 40000)
    assert invariants.violations(db) == []


def test_bookings_share_what_is_left(db: Session) -> None:
    firm = an_organisation(db)
    granted = an_entitlement(db, a_programme(db, years=["0.5"]), firm, 50000)
    first, second = a_quoted(db, firm), a_quoted(db, firm, start=START + timedelta(hours=5))
    assert has(granted) == (50000, 0)
    cancelling.settle_cancellation(db, booking=first, free=True, now=BEFORE)
    assert has(granted) == (20000, 0)
    quoting.requote_booking(db, booking=second, now=BEFORE)
    assert has(granted) == (30000, 0)


def test_a_late_cancellation_is_a_penalty_and_gives_all_back(db: Session) -> None:
    firm = an_organisation(db)
    granted = an_entitlement(db, a_programme(db, years=["0.5"]), firm)
    booking = a_quoted(db, firm)
    booking.state = BookingState.CANCELLED
    assert cancelling.settle_cancellation(db, booking=booking, free=False, now=START - timedelta(hours=1)).minor == 30000
    assert has(granted) == (0, 0)
    assert journal(db, booking.id)["direct_charge"]["AR"] == 30000
    assert invariants.violations(db) == []


def test_many_cancelled_at_once_give_back_what_they_reserved(db: Session) -> None:
    firm = an_organisation(db)
    granted = an_entitlement(db, a_programme(db, years=["0.5"]), firm)
    bookings = [a_quoted(db, firm, start=START + timedelta(hours=5 * number)) for number in range(2)]
    assert has(granted) == (60000, 0)
    cancelling.settle_cancellations(db, bookings=bookings, free={one.id for one in bookings}, now=BEFORE)
    assert has(granted) == (0, 0)


def test_a_booking_that_moves_into_the_next_year_is_paid_by_that_years_rule(db: Session) -> None:
    firm = an_organisation(db)
    programme = a_programme(db, years=["0.5", "0.3"])
    first, second = an_entitlement(db, programme, firm), an_entitlement(db, programme, firm, year=2)
    booking = a_quoted(db, firm, start=datetime.fromisoformat("2026-12-31T23:30:00+08:00"))
    assert (has(first), has(second)) == ((30000, 0), (0, 0))
    booking.starts_at = datetime.fromisoformat("2027-01-01T00:00:00+08:00").astimezone(UTC)
    booking.ends_at = booking.starts_at + timedelta(hours=2)
    db.flush()
    quoting.requote_booking(db, booking=booking, now=BEFORE)
    assert (has(first), has(second)) == ((0, 0), (18000, 0))


def test_a_slot_after_its_last_day_is_not_paid(db: Session) -> None:
    firm = an_organisation(db)
    granted = an_entitlement(db, a_programme(db), firm, valid_until=date(2026, 3, 9))
    a_quoted(db, firm)
    assert has(granted) == (0, 0)


def test_the_larger_programme_alone_reserves(db: Session) -> None:
    firm = an_organisation(db)
    small, large = (an_entitlement(db, a_programme(db, years=[rate]), firm) for rate in ("0.2", "0.4"))
    a_quoted(db, firm)
    assert (has(small), has(large)) == ((0, 0), (24000, 0))


def test_stacked_programmes_are_both_told_on_the_bill(db: Session) -> None:
    firm = an_organisation(db)
    city, district = (an_entitlement(db, a_programme(db, years=[rate], stack="chengdu"), firm) for rate in ("0.2", "0.4"))
    booking = a_quoted(db, firm)
    a_use(db, booking, minutes=120)
    statement = accepted(db, booking)
    assert (has(city), has(district)) == ((0, 12000), (0, 24000))
    assert sorted(line["amount"]["minor"] for line in statement.lines) == [-24000, -12000, 60000]
    assert journal(db, booking.id)["direct_charge"]["VR"] == 36000
    assert invariants.violations(db) == []


def test_a_cap_of_one_booking_holds(db: Session) -> None:
    firm = an_organisation(db)
    granted = an_entitlement(db, a_programme(db, years=[Rule(1, "0.5", booking_cap=10000)]), firm)
    booking = a_quoted(db, firm)
    a_use(db, booking)
    accepted(db, booking)
    assert has(granted) == (0, 10000)


def test_who_is_paid_back_pays_the_whole_bill(db: Session) -> None:
    firm = an_organisation(db)
    granted = an_entitlement(db, a_programme(db, years=["0.5"], mode=Mode.REIMBURSE), firm)
    booking = a_quoted(db, firm)
    a_use(db, booking)
    statement = accepted(db, booking)
    assert (statement.firm_minor, has(granted)) == (52500, (0, 26250))
    assert journal(db, booking.id)["direct_charge"] == {"AR": 52500, "IP": -52500, "IFR": 4200, "FEE": -4200}
    assert invariants.violations(db) == []


def test_a_share_of_usage_leaves_overtime_to_the_firm(db: Session) -> None:
    firm = an_organisation(db)
    an_entitlement(db, a_programme(db, years=["0.5"], base=Base.USAGE), firm)
    booking = a_quoted(db, firm)
    a_use(db, booking, minutes=165)
    assert accepted(db, booking).programme_minor == 30000


def test_use_that_rests_on_signatures_is_not_paid_where_evidence_is_asked_for(db: Session) -> None:
    firm = an_organisation(db)
    granted = an_entitlement(db, a_programme(db, years=["0.5"], evidence_required=True), firm)
    booking = a_quoted(db, firm)
    a_use(db, booking, attested_s=600)
    assert accepted(db, booking).programme_minor == 0
    assert has(granted) == (0, 0)
    assert invariants.violations(db) == []


@pytest.mark.parametrize(("asked_for", "paid"), [(True, 0), (False, 26250)])
def test_looking_back_leaves_out_what_rests_on_signatures_where_evidence_is_asked_for(
    db: Session, asked_for: bool, paid: int
) -> None:
    booking = a_quoted(db, an_organisation(db))
    a_use(db, booking, attested_s=600)
    accepted(db, booking)
    programme = a_programme(db, years=["0.5"], evidence_required=asked_for)
    assert lookback.effect(db, programme=programme, year=1, now=AFTER).paid("CNY").minor == paid


def test_a_correction_gives_back_what_was_used_too_much(db: Session) -> None:
    firm = an_organisation(db)
    granted = an_entitlement(db, a_programme(db, years=["0.5"]), firm)
    booking = a_quoted(db, firm)
    a_use(db, booking, minutes=120)
    accepted(db, booking)
    assert has(granted) == (0, 30000)
    a_use(db, booking, minutes=60, number=2)
    statement = drafted(db, booking)
    assert statement.state in {StatementState.ACCEPTED, StatementState.SETTLED}
    assert (statement.charge_minor, statement.programme_minor, statement.firm_minor) == (-30000, -15000, -15000)
    assert sum(line["amount"]["minor"] for line in statement.lines) == -15000
    assert has(granted) == (0, 15000)
    assert invariants.violations(db) == []


def test_a_correction_that_leaves_more_to_the_firm_waits_for_its_answer(db: Session) -> None:
    """All was paid for it; what is a penalty now it pays itself, although the bill is lower."""
    firm = an_organisation(db)
    granted = an_entitlement(db, a_programme(db, years=["1"]), firm)
    booking = a_quoted(db, firm)
    a_use(db, booking, minutes=120)
    accepted(db, booking)
    a_use(db, booking, minutes=0, number=2)
    statement = drafted(db, booking)
    assert (statement.state, statement.charge_minor, statement.firm_minor) == (StatementState.OPEN, -30000, 30000)
    assert has(granted) == (0, 60000)
    actions.accept_statement(db, statement_id=statement.id, actor_id="per_1", now=AFTER)
    assert has(granted) == (0, 0)
    assert invariants.violations(db) == []


def test_a_lower_amount_agreed_in_a_dispute_lowers_the_share(db: Session) -> None:
    firm = an_organisation(db)
    granted = an_entitlement(db, a_programme(db, years=["0.5"]), firm)
    booking = a_quoted(db, firm)
    a_use(db, booking)
    statement = drafted(db, booking)
    objections.dispute_statement(db, statement_id=statement.id, reason="设备停机", actor_id="per_1", now=AFTER)
    agreed = Money(40001, "CNY")
    resolved = objections.resolve_dispute(db, statement_id=statement.id, charge=agreed, actor_id="per_2", now=AFTER)
    assert (resolved.programme_minor, resolved.firm_minor) == (20000, 20001)
    assert sum(line["amount"]["minor"] for line in resolved.lines) == 20001
    actions.accept_statement(db, statement_id=resolved.id, actor_id="per_1", now=AFTER)
    assert has(granted) == (0, 20000)
    assert invariants.violations(db) == []


def test_a_tax_is_no_base(db: Session) -> None:
    """300.00 an hour with 6 % added: 525.00 + 31.50, of which half of 525.00 is paid."""
    firm, place = an_organisation(db), a_resource(db)
    policy = {"tax": {"rate": "0.06", "mode": "added"}}
    actions.set_policy(db, resource_id=place.id, policy=policy, actor_id="per_1", now=BEFORE)
    granted = an_entitlement(db, a_programme(db, years=["0.5"]), firm)
    booking = a_quoted(db, firm, resource=place)
    assert has(granted) == (30000, 0)
    a_use(db, booking)
    statement = accepted(db, booking)
    assert (statement.charge_minor, statement.programme_minor, statement.firm_minor) == (55650, 26250, 29400)
    assert invariants.violations(db) == []


def test_the_database_refuses_more_use_than_was_granted(db: Session) -> None:
    granted = an_entitlement(db, a_programme(db), an_organisation(db), 100)
    with pytest.raises(IntegrityError), db.begin_nested():
        db.execute(text("UPDATE entitlements SET used_minor = 60, reserved_minor = 41 WHERE id = :id"), {"id": granted.id})


def test_a_grant_is_raised_but_not_lowered_under_what_is_taken(db: Session) -> None:
    firm = an_organisation(db)
    programme = a_programme(db, years=[Rule(1, "0.5", year_cap=100000)])
    granted = an_entitlement(db, programme, firm, 50000)
    a_quoted(db, firm)
    assert an_entitlement(db, programme, firm, 60000) is granted
    for amount, why in ((29999, "used and reserved"), (100001, "more than anybody")):
        with pytest.raises(Invalid, match=why):
            an_entitlement(db, programme, firm, amount)
    with pytest.raises(Invalid, match="no rule"):
        an_entitlement(db, programme, firm, year=2)
    with pytest.raises(Invalid, match="within the year"):
        an_entitlement(db, programme, firm, 60000, valid_until=date(2027, 1, 1))


def test_a_published_programme_keeps_its_years_and_gets_further_ones(db: Session) -> None:
    programme = a_programme(db, years=["0.5"])
    say = lambda rule: granting.set_year(db, programme_id=programme.id, rule=rule, actor_id="per_1", now=BEFORE)  # noqa: E731
    with pytest.raises(WrongState):
        say(Rule(1, "0.4"))
    assert say(Rule(2, "0.3")).rate == "0.3"
    with pytest.raises(WrongState):
        granting.publish(db, programme_id=programme.id, actor_id="per_1", now=BEFORE)


def test_a_years_cap_is_not_lowered_under_what_was_granted(db: Session) -> None:
    firm = an_organisation(db)
    draft = granting.create_programme(
        db,
        said=granting.Said("草案", "成都市科技局", granting.ProgrammeKind.VOUCHER, date(2026, 1, 1)),
        actor_id="per_1",
        now=BEFORE,
    )
    say = lambda cap: granting.set_year(  # noqa: E731
        db, programme_id=draft.id, rule=Rule(1, "0.5", year_cap=cap), actor_id="per_1", now=BEFORE
    )
    say(None)
    an_entitlement(db, draft, firm, 10000)
    with pytest.raises(Invalid, match="somebody was granted"):
        say(9999)
    say(10000).year_cap_minor = 9999
    with pytest.raises(Invalid, match="somebody was granted"):
        granting.publish(db, programme_id=draft.id, actor_id="per_1", now=BEFORE)
    say(10000)
    assert granting.publish(db, programme_id=draft.id, actor_id="per_1", now=BEFORE).published_at == BEFORE


def test_a_firm_finds_its_own_grants_among_those_of_many(db: Session) -> None:
    firms, programme = [an_organisation(db) for _ in range(3)], a_programme(db, years=["0.5"])
    rows = [an_entitlement(db, programme, firm) for firm in firms]
    assert of_programmes.entitlements_of_own(db, programme.id, [firms[0].id]) == rows[:1]
    assert of_programmes.entitlements_of_own(db, programme.id, []) == []


def test_a_draft_pays_nothing(db: Session) -> None:
    firm = an_organisation(db)
    draft = granting.create_programme(
        db,
        said=granting.Said("草案", "成都市科技局", granting.ProgrammeKind.VOUCHER, date(2026, 1, 1)),
        actor_id="per_1",
        now=BEFORE,
    )
    with pytest.raises(WrongState):
        granting.publish(db, programme_id=draft.id, actor_id="per_1", now=BEFORE)
    granting.set_year(db, programme_id=draft.id, rule=Rule(1, "0.5"), actor_id="per_1", now=BEFORE)
    granting.set_year(db, programme_id=draft.id, rule=Rule(1, "0.4"), actor_id="per_1", now=BEFORE)
    given = Grant(firm.id, 1, Money(100000, "CNY"))
    granted = granting.grant(db, programme_id=draft.id, given=given, actor_id="per_1", now=BEFORE)
    a_quoted(db, firm)
    assert has(granted) == (0, 0)


def test_the_whole_journal_closes_where_a_programme_pays_all(db: Session) -> None:
    firm = an_organisation(db)
    an_entitlement(db, a_programme(db, years=["1"]), firm)
    booking = a_quoted(db, firm)
    a_use(db, booking)
    statement = accepted(db, booking)
    assert (statement.state, statement.firm_minor) == (StatementState.SETTLED, 0)
    found = {account.value: v for account, v in ledger.balances(queries.journal_of_booking(db, booking.id)).items()}
    assert found == {"VR": 52500, "IPC": -52500, "IFR": 4200, "FEE": -4200}
    assert invariants.violations(db) == []
