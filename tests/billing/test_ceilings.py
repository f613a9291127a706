"""How far late messages may raise an accepted bill, whatever became of the drafts between and however the messages were cut."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from billing import actions, queries
from billing.objections import actions as objections
from billing.quotes import actions as quoting
from billing.tables import Statement, StatementState
from devices.registry.actions import set_thresholds
from devices.tables import Device
from marketplace.money import Money
from marketplace.tables import Organisation
from tests.billing.test_discrepancies import a_bridged_one, accepted, codes, drafted, faults, quoted, told
from tests.devices.papers import Blind, a_blind_booking, stretch
from tests.devices.test_actions import minute
from tests.devices.test_discrepancies import Line, a_gap

LATE = 180 + 24 * 60 + 5
"""Five minutes after the time in which late messages may raise a bill."""


def total(line: Line) -> int:
    """After everybody was silent."""
    actions.accept_silent(line.db, now=minute(LATE) + timedelta(days=9))
    return queries.accepted_sums(line.db, line.booking.id)[0]


def settled(line: Line, charge: int) -> Statement:
    row = drafted(line, 260)
    objections.dispute_statement(line.db, statement_id=row.id, reason="abgebrochen", actor_id="per_1", now=minute(261))
    return objections.resolve_dispute(
        line.db, statement_id=row.id, charge=Money(charge, "CNY"), actor_id="per_2", now=minute(262)
    )


@pytest.mark.parametrize("answered", [True, False])
def test_a_settled_dispute_is_not_opened_again_by_any_number_of_late_messages(db: Session, answered: bool) -> None:
    line = quoted(a_gap(db))
    resolved = settled(line, 10000)
    if answered:
        actions.accept_statement(db, statement_id=resolved.id, actor_id="per_1", now=minute(263))
    left = [("correction", -10000)] if answered else []
    for at, start, end, usage in ((310, 91, 115, 30000), (312, 115, 130, 37500), (314, 130, 150, 45000)):
        line.hear(start, end, 350, at=at)
        row = drafted(line, at + 1)
        assert codes(row) == [("usage", usage), ("late", 10000 - usage), *left]
        assert (row.charge_minor, row.state is StatementState.ACCEPTED) == (0 if answered else 10000, answered)
    assert total(line) == 10000
    assert faults(db) == []


@pytest.mark.parametrize("answered", [True, False])
def test_late_messages_lower_a_settled_sum_and_raise_it_again_as_far_as_it_was_settled(db: Session, answered: bool) -> None:
    line = a_bridged_one(db)
    resolved = settled(line, 40000)
    if answered:
        actions.accept_statement(db, statement_id=resolved.id, actor_id="per_1", now=minute(263))
    line.hear(91, 92, 8, at=310)
    drafted(line, 311)
    assert queries.billed_of_bookings(db, [line.booking.id]) == {line.booking.id: 37500}
    line.hear(92, 105, 350, at=312)
    assert ("late", -5000) in codes(drafted(line, 313))
    assert queries.billed_of_bookings(db, [line.booking.id]) == {line.booking.id: 40000}
    assert total(line) == 40000
    assert faults(db) == []


def test_the_sum_that_a_dispute_was_last_settled_at_is_the_one_that_counts(db: Session) -> None:
    line = quoted(a_gap(db))
    resolved = settled(line, 10000)
    objections.dispute_statement(db, statement_id=resolved.id, reason="immer noch", actor_id="per_1", now=minute(263))
    objections.resolve_dispute(db, statement_id=resolved.id, charge=Money(6000, "CNY"), actor_id="per_2", now=minute(264))
    line.hear(91, 115, 350, at=310)
    assert drafted(line, 311).charge_minor == 6000
    line.hear(115, 150, 350, at=312)
    assert drafted(line, 313).charge_minor == 6000
    assert total(line) == 6000


def test_a_raise_in_time_outlasts_what_comes_too_late(db: Session) -> None:
    line = quoted(a_gap(db))
    accepted(line, 260)
    line.hear(91, 115, 350, at=310)
    first = drafted(line, 311)
    assert (first.state, first.charge_minor) == (StatementState.OPEN, 15000)
    line.hear(115, 130, 350, at=LATE)
    late = drafted(line, LATE + 1)
    assert (late.state, late.charge_minor) == (StatementState.OPEN, 15000)
    assert codes(late) == [("usage", 37500), ("late", -7500), ("correction", -15000)]
    line.hear(130, 150, 350, at=LATE + 2)
    assert drafted(line, LATE + 3).charge_minor == 15000
    assert total(line) == 30000
    assert faults(db) == []


def test_what_the_first_of_several_late_messages_takes_off_the_others_may_put_back(db: Session) -> None:
    line = a_bridged_one(db)
    accepted(line, 260)
    line.hear(91, 92, 8, at=LATE)
    lower = drafted(line, LATE + 1)
    assert (lower.state, lower.charge_minor) == (StatementState.ACCEPTED, -7500)
    line.hear(92, 105, 350, at=LATE + 2)
    back = drafted(line, LATE + 3)
    assert (back.state, back.charge_minor) == (StatementState.OPEN, 7500)
    assert codes(back) == [("usage", 45000), ("correction", -37500)]
    assert total(line) == 45000
    assert faults(db) == []


PIECES = {False: ((91, 96), (96, 105), (105, 120), (120, 150)), True: ((91, 92), (92, 96), (96, 101), (101, 105))}
"""Of the time in which nothing was heard: where it was not counted as use, and where the counter bridged it."""


def _final(db: Session, powers: Sequence[float], in_time: int, cuts: Sequence[bool], bridged: bool) -> int:
    """The bill after the first `in_time` pieces came in time and the others too late, drafted where it was cut."""
    with db.begin_nested() as attempt:
        line = a_bridged_one(db) if bridged else quoted(a_gap(db))
        accepted(line, 260)
        for number, (piece, power) in enumerate(zip(PIECES[bridged], powers, strict=True)):
            at = (310 if number < in_time else LATE) + 2 * number
            line.hear(*piece, power, at=at)
            if cuts[number] or number == in_time - 1:
                actions.draft_statements(db, now=minute(at + 1))
        actions.draft_statements(db, now=minute(LATE + 60))
        charge = total(line)
        attempt.rollback()
    return charge


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    powers=st.lists(st.sampled_from([8.0, 350.0]), min_size=4, max_size=4),
    in_time=st.integers(0, 3),
    cuts=st.lists(st.booleans(), min_size=4, max_size=4),
    bridged=st.booleans(),
)
@example(powers=[8.0, 350.0, 350.0, 350.0], in_time=0, cuts=[True, False, False, False], bridged=True)
@example(powers=[350.0, 8.0, 8.0, 350.0], in_time=1, cuts=[True, True, True, True], bridged=False)
def test_the_bill_does_not_depend_on_how_late_messages_were_cut(
    db: Session, powers: list[float], in_time: int, cuts: list[bool], bridged: bool
) -> None:
    assert _final(db, powers, in_time, cuts, bridged) == _final(db, powers, in_time, [False] * 4, bridged)


def a_signed_one(db: Session) -> Blind:
    """An hour of the two, of which the meter saw nothing, signed by both; late messages are trusted for forty days."""
    blind = a_blind_booking(db)
    device = db.scalars(select(Device).where(Device.key == blind.key)).one()
    set_thresholds(db, device_id=device.id, profile={"backfill": 40 * 86400}, actor_id="x", now=minute(0.2))
    firm = db.get_one(Organisation, blind.booking.organisation_id)
    before = minute(0) - timedelta(days=3)
    quoting.quote_booking(db, booking=blind.booking, organisation=firm, payment_method=None, now=before)
    [first] = actions.draft_statements(db, now=minute(260))
    actions.accept_statement(db, statement_id=first, actor_id="per_1", now=minute(261))
    blind.sign(blind.state(stretch(60, 120)))
    return blind


@pytest.mark.parametrize("answered", [True, False], ids=["accepted", "not answered yet"])
def test_late_messages_in_place_of_what_was_signed_raise_nothing(db: Session, answered: bool) -> None:
    """Less time rests on signatures then, which is no new signature."""
    blind = a_signed_one(db)
    [signed] = actions.draft_statements(db, now=minute(320))
    assert queries.get_statement(db, signed).charge_minor == 30000
    if answered:
        actions.accept_statement(db, statement_id=signed, actor_id="per_1", now=minute(321))
    late = LATE + 5 * 24 * 60
    blind.hear(61, 180, 350, at=late)
    assert blind.use().attested_s < 3600
    [over] = actions.draft_statements(db, now=minute(late + 1))
    row = queries.get_statement(db, over)
    assert (row.state, row.charge_minor) == ((StatementState.ACCEPTED, 0) if answered else (StatementState.OPEN, 30000))
    assert codes(row)[:2] == [("usage", 60000), ("late", -30000)]


def test_a_bill_that_is_accepted_while_the_next_is_drafted_is_corrected_by_the_run_after(
    db: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = a_bridged_one(db)
    first = drafted(line, 260)
    line.hear(91, 105, 8, at=310)
    asked = queries.accepted_before

    def and_then_it_is_accepted(session: Session, booking_ids: Sequence[str]) -> dict[str, str]:
        found = asked(session, booking_ids)
        actions.accept_statement(session, statement_id=first.id, actor_id=line.booking.person_id, now=minute(311))
        return found

    with monkeypatch.context() as patch:
        patch.setattr(queries, "accepted_before", and_then_it_is_accepted)
        assert actions.draft_statements(db, now=minute(311)) == []
    row = drafted(line, 312)
    assert (row.state, row.charge_minor, list(told(line))) == (StatementState.ACCEPTED, -7500, [row.id])
    assert faults(db) == []
