"""What one's firms were billed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from billing.billed.queries import Sums
from marketplace.money import Money
from web.views.frame import ONE_PAGE, Choice, Paging


@dataclass(frozen=True, slots=True)
class IssuedRow:
    """A statement in a list: who issued or got it is added."""

    booking_id: str
    number: str
    resource: str
    issued_at: datetime
    zone: str
    state: str
    charge: Money
    open_amount: Money

    @property
    def issued_on(self) -> date:
        """By the wall clock of the equipment, as the page says it."""
        return self.issued_at.astimezone(ZoneInfo(self.zone)).date()

    @property
    def amounts(self) -> tuple[Decimal, Decimal, str]:
        """Charge, what is open, and their currency."""
        return self.charge.decimal, self.open_amount.decimal, self.charge.currency


@dataclass(frozen=True, slots=True)
class BillRow(IssuedRow):
    institution: str
    organisation: str


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
    pdf_url: str
    paging: Paging = ONE_PAGE
    zone: str = "Asia/Shanghai"


@dataclass(frozen=True, slots=True)
class BillsPaper:
    """GET /{lang}/bills.pdf: the statement of a month."""

    month: str
    firm: str
    """Empty for all of the reader's firms."""
    rows: Sequence[BillRow]
    more: bool
    """Whether some are left out."""
    sums: Sequence[Sums]
    made_at: datetime
    zone: str
