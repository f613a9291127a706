"""Late messages under an accepted bill: a correction on a further version, told to both, down at once and up within limits."""

from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session, sessionmaker

from billing import actions, invariants, ledger, queries
from billing.actions import Receipt
from billing.corrections.actions import mark_paid_back
from billing.corrections.queries import to_pay_back
from billing.quotes import actions as quoting
from billing.tables import CallState, Statement, StatementState
from booking.tables import Booking
from devices import actions as devices
from devices import queries as equipment
from devices.discrepancies import invariants as sealed
from devices.discrepancies import queries as discrepancies
from evaluation.sources.fees import fees_of_bookings
from marketplace.money import Money
from marketplace.refusals import WrongState
from marketplace.roles import Role
from marketplace.slot import Slot
from marketplace.tables import Institution, Message, Organisation
from tests.billing.conftest import Stripe, work
from tests.billing.test_card_flow import AFTER, a_use, held_then_used
from tests.builders import a_member
from tests.devices.papers import at_once
from tests.devices.test_actions import minute
from tests.devices.test_discrepancies import EVER, Line, a_gap, a_line


def faults(db: Session) -> list[str]:
    return [*invariants.violations(db), *sealed.violations(db)]


def quoted(line: Line) -> Line:
    """Two hours at 300.00, by bank; late messages may raise the bill for a day."""
    firm = line.db.get_one(Organisation, line.booking.organisation_id)
    before = minute(0) - timedelta(days=3)
    quoting.quote_booking(line.db, booking=line.booking, organisation=firm, payment_method=None, now=before)
    return line


def a_bridged_one(db: Session) -> Line:
    """Running from minute 65 to 150, by the counter also while it was silent from 91 to 105."""
    line = quoted(a_line(db))
    line.hear(0, 65, 8)
    line.hear(65, 91, 350)
    line.hear(105, 150, 350)
    line.hear(150, 250, 8)
    devices.confirm_uses(db, now=minute(250))
    return line


def drafted(line: Line, at: float) -> Statement:
    [statement_id] = actions.draft_statements(line.db, now=minute(at))
    return queries.get_statement(line.db, statement_id)


def accepted(line: Line, at: float) -> Statement:
    row = drafted(line, at)
    return actions.accept_statement(line.db, statement_id=row.id, actor_id=line.booking.person_id, now=minute(at))


def codes(row: Statement) -> list[tuple[str, int]]:
    return [(line["code"], line["amount"]["minor"]) for line in row.lines]


def told(line: Line) -> dict[str, set[str]]:
    rows = line.db.query(Message).where(Message.kind == "statement_corrected").all()
    return {
        row.data["statement_id"]: {one.person_id for one in rows if one.data["statement_id"] == row.data["statement_id"]}
        for row in rows
    }


def test_an_unaccepted_statement_gives_way_and_nothing_is_sealed(db: Session) -> None:
    line = quoted(a_gap(db))
    assert drafted(line, 260).charge_minor == 15000
    line.hear(91, 150, 350, at=310)
    row = drafted(line, 311)
    assert (row.number, row.charge_minor, codes(row)) == (2, 45000, [("usage", 45000)])
    assert line.records() == []
    assert told(line) == {}


def test_what_an_accepted_statement_rests_on_is_sealed_and_more_use_waits_for_an_answer(db: Session) -> None:
    line = quoted(a_gap(db))
    finance = a_member(db, Role.FINANCE, institution=db.get_one(Institution, line.booking.institution_id))
    first = accepted(line, 260)
    before = line.rows(EVER)
    line.hear(91, 150, 350, at=310)
    assert line.rows(Slot(minute(60), minute(180))) == line.rows(Slot(minute(60), minute(180)))
    assert [row for row in before[0] if row not in line.rows(EVER)[0]] == []
    row = drafted(line, 311)
    [found] = discrepancies.standing(db, [line.booking.resource_id], EVER)
    assert found.rests_on == [{"cause": "statement", "id": first.id}]
    assert (row.state, row.charge_minor, codes(row)) == (StatementState.OPEN, 30000, [("usage", 45000), ("correction", -15000)])
    assert row.lines[-1]["discrepancies"] == [found.id]
    assert told(line) == {row.id: {line.booking.person_id, finance.id}}
    actions.accept_statement(db, statement_id=row.id, actor_id=line.booking.person_id, now=minute(320))
    assert queries.accepted_sums(db, line.booking.id) == (45000, 3600)
    assert faults(db) == []


def test_less_use_is_given_back_at_once_and_paid_back_by_bank(db: Session) -> None:
    line = a_bridged_one(db)
    first = accepted(line, 260)
    assert first.charge_minor == 45000
    receipt = Receipt("CMB-1", Money(45000, "CNY"), date(2026, 3, 11))
    actions.mark_received(db, statement_id=first.id, receipt=receipt, actor_id="per_2", now=minute(261))
    line.hear(91, 105, 8, at=310)
    row = drafted(line, 311)
    assert (row.state, row.charge_minor, row.accepted_by) == (StatementState.ACCEPTED, -7500, None)
    assert first.state is StatementState.SETTLED
    assert queries.accepted_sums(db, line.booking.id) == (37500, 3000)
    assert invariants.violations(db) == []
    paid = mark_paid_back(db, booking_id=line.booking.id, serial=" CMB-9 ", actor_id="per_2", now=minute(320))
    assert (paid.amount_minor, paid.serial, row.state) == (7500, "CMB-9", StatementState.SETTLED)
    with pytest.raises(WrongState):
        mark_paid_back(db, booking_id=line.booking.id, serial="CMB-10", actor_id="per_2", now=minute(321))
    assert fees_of_bookings(db, [line.booking.id]) == {line.booking.id: (45000, 7500)}
    assert faults(db) == []


def test_messages_that_come_too_late_raise_nothing_but_the_bill_says_so(db: Session) -> None:
    line = quoted(a_gap(db))
    accepted(line, 260)
    late = 180 + 24 * 60 + 5
    line.hear(91, 150, 350, at=late)
    row = drafted(line, late + 1)
    assert (row.state, row.charge_minor) == (StatementState.ACCEPTED, 0)
    assert codes(row) == [("usage", 45000), ("late", -30000), ("correction", -15000)]
    assert (row.confirmed_s, queries.accepted_sums(db, line.booking.id)) == (85 * 60, (15000, 1200))
    assert list(told(line)) == [row.id]
    assert actions.draft_statements(db, now=minute(late + 2)) == []
    assert faults(db) == []


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    steps=st.lists(st.tuples(st.integers(0, 3), st.sampled_from([8.0, 350.0]), st.booleans()), min_size=1, max_size=6),
)
def test_all_versions_together_are_the_price_of_the_final_use(db: Session, steps: list[tuple[int, float, bool]]) -> None:
    chunks = ((91, 97), (97, 105), (150, 170), (180, 200))
    with db.begin_nested() as attempt:
        line = a_bridged_one(db)
        accepted(line, 260)
        for number, (chunk, power, answered) in enumerate(steps):
            at = 310 + 2 * number
            line.hear(*chunks[chunk], power, at=at)
            for statement_id in actions.draft_statements(db, now=minute(at + 1)):
                row = queries.get_statement(db, statement_id)
                if answered and row.state is StatementState.OPEN:
                    actions.accept_statement(db, statement_id=row.id, actor_id="per_1", now=minute(at + 1))
        actions.accept_silent(db, now=minute(310) + timedelta(days=4))
        use = equipment.use_of_booking(db, line.booking.id)
        assert use is not None
        quote = queries.quote_of_booking(db, line.booking.id)
        price, fee = actions.charge_of(quote, use).amount.minor, queries.accepted_sums(db, line.booking.id)[1]
        assert queries.accepted_sums(db, line.booking.id)[0] == price
        assert fee == round(price * 0.08)
        assert invariants.violations(db) == []
        attempt.rollback()


@pytest.mark.parametrize("slow", [False, True], ids=["taken and paid out", "not taken yet"])
def test_a_card_gets_back_what_has_not_gone_out_and_the_institution_pays_the_rest(
    committed_db: sessionmaker[Session], stripe: Stripe, slow: bool
) -> None:
    booking_id = held_then_used(committed_db, stripe)
    if not slow:
        work(committed_db, stripe, AFTER)
    with committed_db.begin() as session:
        a_use(session, session.get_one(Booking, booking_id), minutes=70, number=2)
        [statement_id] = actions.draft_statements(session, now=AFTER)
        row = queries.get_statement(session, statement_id)
        assert (row.charge_minor, row.state) == (-15000, StatementState.ACCEPTED)
    work(committed_db, stripe, AFTER)
    with committed_db.begin() as session:
        [payment] = queries.payments_of(session, booking_id)
        out = (15000, 34500) if slow else (1200, 48300)
        assert (payment.captured_minor, payment.refunded_minor, payment.transferred_minor) == (52500, *out)
        assert {call.state for call in queries.calls_of(session, booking_id)} == {CallState.DONE}
        assert invariants.violations(session) == []
        assert invariants.provider_violations(session, stripe.provider.balance()) == []
        if not slow:
            paid = mark_paid_back(session, booking_id=booking_id, serial="ICBC-1", actor_id="per_2", now=AFTER)
            assert paid.amount_minor == 13800
    with committed_db() as session:
        balances = {one.value: v for one, v in ledger.balances(queries.journal_of_booking(session, booking_id)).items()}
        assert [account for account in ("AR", "RIT", "IP", "PREP") if account in balances] == []
        assert {one.state for one in queries.statements_of_booking(session, booking_id)} == {StatementState.SETTLED}
        assert invariants.violations(session) == []


def paid_back_then_used(sessions: sessionmaker[Session], stripe: Stripe, booking_id: str, minutes: int) -> list[int]:
    """Less use, of which the institution pays back its part, then other use; what was to be paid back after each."""
    left = []
    for number, used in ((2, 70), (3, minutes)):
        with sessions.begin() as session:
            a_use(session, session.get_one(Booking, booking_id), minutes=used, number=number)
            [key] = actions.draft_statements(session, now=AFTER)
            if queries.get_statement(session, key).state is StatementState.OPEN:
                actions.accept_statement(session, statement_id=key, actor_id="per_1", now=AFTER)
        work(sessions, stripe, AFTER)
        with sessions.begin() as session:
            left.append(to_pay_back(session, booking_id, "CNY").minor)
            if left[-1]:
                mark_paid_back(session, booking_id=booking_id, serial=f"ICBC-{number}", actor_id="per_2", now=AFTER)
    return left


@pytest.mark.parametrize(
    ("minutes", "payments", "returned"),
    [(40, [(52500, 2400, 48300)], 13800), (105, [(52500, 1200, 48300), (15000, 0, 13800)], 0)],
    ids=["less again", "more again"],
)
def test_after_something_was_paid_back_each_gets_what_is_theirs_to_the_fen(
    committed_db: sessionmaker[Session], stripe: Stripe, minutes: int, payments: list[tuple[int, int, int]], returned: int
) -> None:
    booking_id = held_then_used(committed_db, stripe)
    work(committed_db, stripe, AFTER)
    assert paid_back_then_used(committed_db, stripe, booking_id, minutes) == [13800, returned]
    with committed_db() as session:
        rows = queries.payments_of(session, booking_id)
        assert [(row.captured_minor, row.refunded_minor, row.transferred_minor) for row in rows] == payments
        charge, fee = queries.accepted_sums(session, booking_id)
        assert (charge, fee) == ((22500, 1800) if minutes == 40 else (52500, 4200))
        balances = {one.value: v for one, v in ledger.balances(queries.journal_of_booking(session, booking_id)).items()}
        assert balances == {"FEE": -fee, "PSP": fee - balances["PFE"], "PFE": balances["PFE"]}
        assert invariants.violations(session) == []
        assert invariants.provider_violations(session, stripe.provider.balance()) == []


@pytest.mark.parametrize("minutes", [40, 105])
def test_the_audit_sees_shares_that_were_reckoned_as_if_nothing_was_paid_back(
    committed_db: sessionmaker[Session], stripe: Stripe, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    booking_id = held_then_used(committed_db, stripe)
    work(committed_db, stripe, AFTER)
    monkeypatch.setattr(queries, "paid_back", lambda *_: 0)
    paid_back_then_used(committed_db, stripe, booking_id, minutes)
    with committed_db() as session:
        assert invariants.violations(session) == [f"what_was_paid_back_leaves_the_institution_its_share: {booking_id}"]


def test_who_accepts_while_late_messages_are_folded_accepts_before_or_after_them(committed_db: sessionmaker[Session]) -> None:
    """Whichever is first: what was sealed stays, and the versions come to the price of the use."""
    with committed_db.begin() as session:
        line = a_bridged_one(session)
        row = drafted(line, 260)
        line.store(91, 105, 8, at=310)
        booking_id, person, key = line.booking.id, line.booking.person_id, row.id

    def fold() -> int:
        with committed_db.begin() as session:
            return devices.fold_devices(session, now=minute(311))

    def accept() -> str:
        with committed_db.begin() as session:
            return actions.accept_statement(session, statement_id=key, actor_id=person, now=minute(311)).id

    done = at_once([fold, accept])
    assert [one for one in done if isinstance(one, Exception)] == []
    for at in (312, 313):
        with committed_db.begin() as session:
            devices.fold_devices(session, now=minute(at))
            actions.draft_statements(session, now=minute(at))
    with committed_db() as session:
        assert queries.accepted_sums(session, booking_id)[0] == 37500
        assert faults(session) == []
