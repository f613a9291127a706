"""The operator's page of accounts: what must hold, what differs from the provider, and the closed days."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from marketplace.money import Money
from web.views.frame import EMPTY_FORM, Form


@dataclass(frozen=True, slots=True)
class CheckRow:
    """An invariant in the last run: `count` breaks it, `found` are the first of them."""

    name: str
    count: int
    found: Sequence[str]


@dataclass(frozen=True, slots=True)
class RunRow:
    """The last run; `asked_by` is nobody's name in a night."""

    done_at: datetime
    asked_by: str | None
    provider: str


@dataclass(frozen=True, slots=True)
class FindingRow:
    """A difference between ledger and provider, with what is known."""

    id: str
    kind: str
    subject: str
    booking_id: str | None
    theirs: Money
    ours: Money
    found_at: datetime
    reason: str | None
    resolved_by: str | None


@dataclass(frozen=True, slots=True)
class TotalRow:
    account: str
    moved: Money
    balance: Money


@dataclass(frozen=True, slots=True)
class CloseRow:
    day: date
    entries: int
    digest: str
    totals: Sequence[TotalRow]
    closed_at: datetime


@dataclass(frozen=True, slots=True)
class AccountsView:
    """GET /{lang}/operator/accounts."""

    run: RunRow | None
    waits: bool
    """A run was asked for and is not done."""
    checks: Sequence[CheckRow]
    findings: Sequence[FindingRow]
    resolved: Sequence[FindingRow]
    closes: Sequence[CloseRow]
    finding_id: str = ""
    """Whose form was sent."""
    form: Form = EMPTY_FORM
    zone: str = "Asia/Shanghai"

    @property
    def broken(self) -> int:
        return sum(bool(row.count) for row in self.checks)
