"""What both sides sign is billed as any later word on the use: a new version, or a correction of what was accepted."""

from datetime import timedelta

from sqlalchemy.orm import Session

from billing import actions, invariants, queries
from billing.actions import Receipt
from billing.quotes import actions as quoting
from billing.tables import StatementState
from devices.attestations.statements import Side
from marketplace.money import Money
from marketplace.tables import Organisation
from tests.devices.papers import Blind, a_blind_booking, stretch
from tests.devices.test_actions import minute


def a_quoted_one(db: Session) -> Blind:
    """Two hours at 300.00, of which the meter saw nothing; drafted at nothing."""
    blind = a_blind_booking(db)
    firm = db.get_one(Organisation, blind.booking.organisation_id)
    quoting.quote_booking(db, booking=blind.booking, organisation=firm, payment_method=None, now=minute(0) - timedelta(days=3))
    [drafted] = actions.draft_statements(db, now=minute(260))
    statement = queries.get_statement(db, drafted)
    assert (statement.outcome, statement.charge_minor, statement.state) == ("unverifiable", 0, StatementState.OPEN)
    return blind


def test_an_open_statement_gives_way_to_one_of_the_attested_use(db: Session) -> None:
    blind = a_quoted_one(db)
    blind.sign(blind.state(stretch(60, 157)))
    [drafted] = actions.draft_statements(db, now=minute(320))
    first, second = queries.statements_of_booking(db, blind.booking.id)
    assert (first.state, second.id, second.state) == (StatementState.SUPERSEDED, drafted, StatementState.OPEN)
    assert (second.use_id, second.charge_minor, second.confirmed_s, second.billed_s) == (blind.use().id, 52500, 5820, 6300)
    assert actions.draft_statements(db, now=minute(321)) == []


def test_an_accepted_and_settled_statement_is_corrected_and_never_changed(db: Session) -> None:
    blind = a_quoted_one(db)
    blind.sign(blind.state(stretch(60, 157)))
    [drafted] = actions.draft_statements(db, now=minute(320))
    actions.accept_statement(db, statement_id=drafted, actor_id="per_1", now=minute(330))
    receipt = Receipt("CMB-7", Money(52500, "CNY"), minute(330).date())
    settled = queries.get_statement(db, drafted)
    actions.mark_received(db, statement_id=drafted, receipt=receipt, actor_id="per_2", now=minute(331))
    assert settled.state is StatementState.SETTLED
    blind.sign(blind.state(stretch(60, 180), side=Side.USER))
    [corrected] = actions.draft_statements(db, now=minute(340))
    row = queries.get_statement(db, corrected)
    assert (settled.state, settled.charge_minor) == (StatementState.SETTLED, 52500)
    assert (row.charge_minor, [line["code"] for line in row.lines]) == (7500, ["usage", "correction"])
    assert invariants.violations(db) == []


def test_both_say_not_used_is_charged_as_a_no_show(db: Session) -> None:
    blind = a_quoted_one(db)
    blind.sign(blind.state())
    [drafted] = actions.draft_statements(db, now=minute(320))
    row = queries.get_statement(db, drafted)
    assert (row.outcome, row.charge_minor, row.lines[0]["code"]) == ("no_show", 30000, "no_show")
