"""For the operator: the last run of every check, differences from the provider, and the closed days."""

from collections.abc import Mapping

from sqlalchemy.orm import Session

from billing.reconciling import queries
from billing.reconciling.tables import DayClose, Finding
from marketplace.money import Money
from marketplace.people import queries as people
from web.views.accounts import AccountsView, CheckRow, CloseRow, FindingRow, RunRow, TotalRow
from web.views.frame import EMPTY_FORM, Form

DAYS = 31


def accounts(session: Session, *, finding_id: str = "", form: Form = EMPTY_FORM) -> AccountsView:
    last, findings, resolved = queries.last_run(session), queries.open_findings(session), queries.resolved_findings(session)
    named = {row.resolved_by for row in resolved if row.resolved_by} | ({last.asked_by} if last and last.asked_by else set())
    who = people.names_of(session, named)
    run = None
    if last is not None and last.done_at is not None:
        run = RunRow(last.done_at, who.get(last.asked_by or ""), last.provider.value if last.provider else "")
    return AccountsView(
        run=run,
        waits=queries.waiting_run(session) is not None,
        checks=[CheckRow(one["name"], one["count"], one["found"]) for one in ((last and last.results) or {}).get("checks", ())],
        findings=[_finding(row, who) for row in findings],
        resolved=[_finding(row, who) for row in resolved],
        closes=[_close(row) for row in queries.closes(session, limit=DAYS)],
        finding_id=finding_id,
        form=form,
    )


def _finding(row: Finding, who: Mapping[str, str]) -> FindingRow:
    return FindingRow(
        row.id, row.kind.value, row.subject, row.booking_id, Money(row.theirs_minor, row.currency),
        Money(row.ours_minor, row.currency), row.found_at, row.reason, who.get(row.resolved_by or ""),
    )  # fmt: skip


def _close(row: DayClose) -> CloseRow:
    totals = [
        TotalRow(one["account"], Money(one["day_minor"], one["currency"]), Money(one["balance_minor"], one["currency"]))
        for one in row.totals
    ]
    return CloseRow(row.day, row.entries, row.digest, totals, row.closed_at)
