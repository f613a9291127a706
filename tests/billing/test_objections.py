"""What answers to single lines come to: with a tax on top, in a second round, beside a programme, in a correction."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from billing import actions, invariants, queries
from billing.objections import actions as objections
from billing.objections.actions import Answer, Doubt
from billing.programmes.choosing import Base
from billing.quotes import actions as quoting
from billing.tables import Statement
from booking.tables import Booking
from marketplace.money import Money
from marketplace.refusals import Invalid
from tests.billing.test_card_flow import AFTER, BEFORE, START, a_use
from tests.builders import a_booking, a_programme, a_resource, an_entitlement, an_organisation


def booked(db: Session, *, policy: dict[str, Any] | None = None, base: Base | None = None) -> Booking:
    """Two hours at 300.00; with `base` a programme pays half of that."""
    firm, place = an_organisation(db), a_resource(db)
    if policy:
        actions.set_policy(db, resource_id=place.id, policy=policy, actor_id="per_1", now=BEFORE)
    if base:
        an_entitlement(db, a_programme(db, years=["0.5"], base=base), firm, 1_000_000)
    made = a_booking(db, resource=place, organisation=firm, start=START)
    quoting.quote_booking(db, booking=made, organisation=firm, payment_method=None, now=BEFORE)
    return made


def drafted(db: Session, booking: Booking) -> Statement:
    actions.draft_statements(db, now=AFTER)
    found = queries.statement_of_booking(db, booking.id)
    assert found
    return found


def answered(db: Session, statement: Statement, minor: int, *, line: int = 0) -> Statement:
    doubts, answers = [Doubt(line, "停机")], [Answer(line, Money(minor, "CNY"))]
    objections.dispute_statement(db, statement_id=statement.id, reason="", doubts=doubts, actor_id="per_1", now=AFTER)
    return objections.answer_objections(db, statement_id=statement.id, answers=answers, actor_id="per_2", now=AFTER)


def accepted(db: Session, statement: Statement) -> list[str]:
    actions.accept_statement(db, statement_id=statement.id, actor_id="per_1", now=AFTER)
    return invariants.violations(db)


def test_a_tax_on_top_goes_with_what_is_struck_off(db: Session) -> None:
    made = booked(db, policy={"tax": {"rate": "0.13", "mode": "added"}})
    a_use(db, made, minutes=120)
    found = answered(db, drafted(db, made), 30000)
    assert (found.charge_minor, found.tax_minor, found.fee_minor) == (33900, 3900, 2400)
    assert [line["amount"]["minor"] for line in found.lines] == [60000, 7800, -30000, -3900]
    assert accepted(db, found) == []


def test_a_tax_is_not_objected_to_by_itself(db: Session) -> None:
    made = booked(db, policy={"tax": {"rate": "0.13", "mode": "added"}})
    a_use(db, made, minutes=120)
    with pytest.raises(Invalid):
        answered(db, drafted(db, made), 0, line=1)


def test_a_second_answer_is_of_what_the_first_has_left(db: Session) -> None:
    made = booked(db)
    a_use(db, made, minutes=120)
    first = answered(db, drafted(db, made), 50000)
    second = answered(db, first, 45000)
    assert (first.charge_minor, second.charge_minor) == (50000, 45000)
    with pytest.raises(Invalid):
        answered(db, second, 45001)


def test_a_programme_pays_its_share_of_the_use_that_is_left(db: Session) -> None:
    made = booked(db, base=Base.USAGE)
    a_use(db, made, minutes=150)
    found = answered(db, drafted(db, made), 30000)
    assert (found.charge_minor, found.programme_minor) == (52500, 15000)
    assert accepted(db, found) == []


def test_a_correction_is_answered_by_what_all_versions_come_to(db: Session) -> None:
    made, later = booked(db), AFTER + timedelta(hours=1)
    first = a_use(db, made, minutes=90)
    accepted(db, drafted(db, made))
    a_use(db, made, minutes=120, number=2, supersedes_id=first.id, created_at=later)
    actions.draft_statements(db, now=later)
    raised = queries.statement_of_booking(db, made.id)
    assert raised
    assert (raised.number, raised.charge_minor) == (2, 15000)
    objections.dispute_statement(db, statement_id=raised.id, reason="停机", actor_id="per_1", now=later)
    for charge in (15001, -45001):
        with pytest.raises(Invalid):
            objections.resolve_dispute(db, statement_id=raised.id, charge=Money(charge, "CNY"), actor_id="per_2", now=later)
    lower = objections.resolve_dispute(db, statement_id=raised.id, charge=Money(-5000, "CNY"), actor_id="per_2", now=later)
    actions.accept_statement(db, statement_id=lower.id, actor_id="per_1", now=later)
    assert queries.accepted_sums(db, made.id)[0] == 40000
    assert invariants.violations(db) == []
