"""The operator sees every invariant as holding or broken, resolves differences from the provider, and sees days closed."""

from datetime import timedelta

import pytest

from billing import invariants
from billing.journal.actions import post
from billing.ledger import transfer_out
from billing.payments.queries import calls_waiting
from billing.reconciling import actions, queries
from billing.reconciling.matching import FindingKind, Found
from billing.reconciling.tables import Answered
from billing.tables import Payment
from marketplace import clock
from marketplace.db import open_sessions
from marketplace.money import Money
from tests.billing.in_process import stand_in
from tests.billing.test_card_flow import a_card_booking
from tests.web.desks import Desk
from web.billing_words import FINDING, INVARIANT
from web.checks import ROOMS, Checking, compared, results, whole_books
from web.timers import JOBS
from web.worker import check_once

ODD = Found(FindingKind.UNKNOWN_MOVEMENT, "txn_odd", None, "CNY", -1000, 0)


def check(desk: Desk, checking: Checking = Checking(None, None)) -> bool:  # noqa: B008 - a value
    """What a worker does."""
    with desk.database() as session:
        return check_once(checking, open_sessions(session.get_bind()))  # type: ignore[arg-type]


def test_every_check_has_words(desk: Desk) -> None:
    with desk.database() as session:
        assert {one["name"] for one in results(session, None)} | {"the_archive_is_whole"} == set(INVARIANT)
    assert {kind.value for kind in FindingKind} == set(FINDING)
    assert set(ROOMS) < set(INVARIANT)


def test_a_run_that_is_asked_for_shows_each_rule_as_holding_or_broken(desk: Desk) -> None:
    reader = desk.reader("operator")
    assert "Not checked yet." in reader.get("/operator/accounts").text
    assert not check(desk)
    assert "a worker does it within seconds" in reader.post("/operator/accounts/runs").text
    assert check(desk)
    page = reader.get("/operator/accounts").text
    assert "Entries of the journal sum to zero" in page
    assert "not set up" in page
    assert ">broken" not in page
    with desk.database() as session, session.begin():
        a_card_booking(session)
        session.query(Payment).one().transferred_minor = 1
        session.flush()
    reader.post("/operator/accounts/runs")
    assert check(desk)
    page = reader.get("/operator/accounts").text
    broken = [row for row in page.split("<tr>") if "pill bad" in row]
    assert [row for row in broken if "Nothing goes out before a statement is accepted" in row]
    assert not [row for row in broken if "Entries of the journal sum to zero" in row]
    assert "异常" in reader.get("/operator/accounts", lang="zh").text


def test_a_difference_is_resolved_with_a_reason_by_the_operator_only(desk: Desk) -> None:
    with desk.database() as session, session.begin():
        actions.note(session, [ODD], now=clock.now())
        [finding] = queries.open_findings(session)
        assert invariants.checked(session)[invariants.DIFFERING] == ["unknown_movement txn_odd: -1000 against 0 CNY"]
    reader, path = desk.reader("operator"), f"/operator/accounts/findings/{finding.id}"
    assert "txn_odd" in reader.get("/operator/accounts").text
    assert 'pilotbench_reconciliation_difference_minor{currency="CNY"} -1000.0' in reader.client.get("/metrics").text
    assert desk.reader("manager").post(path, reason="mine").status_code == 404
    assert desk.reader("manager").get("/operator/accounts").status_code == 404
    assert reader.post(path, reason="").status_code == 422
    page = reader.post(path, reason="our own payout").text
    assert "our own payout" in page
    assert reader.post(path, reason="again").status_code == 409
    with desk.database() as session:
        assert queries.open_findings(session) == []
    assert "pilotbench_reconciliation_difference_minor{" not in reader.client.get("/metrics").text
    assert "Difference from the provider resolved" in reader.get("/operator/audit").text


def test_a_run_asks_the_provider_and_a_night_asks_once(desk: Desk) -> None:
    state, provider = stand_in()
    state.shop.book("payout", {"id": "po_1", "currency": "cny"}, -1000, 0)
    now = clock.now().replace(hour=20)  # four in the morning in Beijing
    for _ in range(2):
        with desk.database() as session, session.begin():
            actions.ask_nightly(session, now=now)
    assert check(desk, Checking(provider, None))
    assert not check(desk, Checking(provider, None))
    with desk.database() as session:
        run = queries.last_run(session)
        assert run is not None
        assert (run.provider, run.cause[:6]) == (Answered.ANSWERED, "night:")
        assert [row.theirs_minor for row in queries.open_findings(session)] == [-1000]
        told = compared(session, whole_books(provider, now=now), now=now)
        assert told == [f"unknown_movement: {queries.open_findings(session)[0].subject} -1000 against 0 CNY"]
    with desk.database() as session, session.begin():
        actions.ask_nightly(session, now=now.replace(hour=17))
        assert queries.waiting_run(session) is None


def test_closed_days_are_listed(desk: Desk) -> None:
    with desk.database() as session, session.begin():
        booking = a_card_booking(session)
        posted = clock.now() - timedelta(days=3)
        post(session, transfer_out(Money(500, "CNY")), source_type="test", source_id="1", booking=booking, now=posted)
        assert len(actions.close_days(session, now=clock.now())) >= 2
    page = desk.reader("operator").get("/operator/accounts").text
    with desk.database() as session:
        assert all(row.digest[:16] in page for row in queries.closes(session))


@pytest.mark.parametrize("job", ["close_days", "ask_checks"])
def test_the_worker_closes_days_and_asks_for_checks(job: str) -> None:
    assert job in {one.name for one in JOBS}


def test_what_waits_is_told_to_a_monitor(desk: Desk) -> None:
    with desk.database() as session, session.begin():
        a_card_booking(session)
        assert calls_waiting(session).count == 1
    figures = desk.reader("operator").client.get("/metrics").text
    [age] = [line.split()[1] for line in figures.splitlines() if line.startswith("pilotbench_outbox_age_seconds ")]
    assert float(age) > 0
    for name in ("webhook_lag_seconds 0.0", "events_put_aside 0.0", "checks_age_seconds -1.0"):
        assert f"pilotbench_{name}" in figures
