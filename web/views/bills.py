"""What one's firms were billed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from billing.billed.queries import Sums
from marketplace.money import Money
from web.views.frame import ONE_PAGE, Choice, Paging


@dataclass(frozen=True, slots=True)
class BillRow:
    booking_id: str
    number: str
    institution: str
    resource: str
    organisation: str
    issued_at: datetime
    zone: str
    state: str
    charge: Money
    open_amount: Money


@dataclass(frozen=True, slots=True)
class BillsView:
    """GET /{lang}/bills."""

    rows: Sequence[BillRow]
    sums: Sequence[Sums]
    """Of the whole month, by currency."""
    months: Sequence[Choice]
    organisations: Sequence[Choice]
    """Empty for who belongs to one."""
    csv_url: str
    paging: Paging = ONE_PAGE
    zone: str = "Asia/Shanghai"
