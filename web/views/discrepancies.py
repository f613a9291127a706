"""Discrepancies: what late messages would make of sealed time, what rests on it, and what it led to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from marketplace.money import Money
from marketplace.slot import Slot
from web.views.frame import Choice, Paging


@dataclass(frozen=True, slots=True)
class BillLink:
    """A version of a bill; `charge` is what it adds."""

    booking_id: str
    version: int
    state: str
    charge: Money


@dataclass(frozen=True, slots=True)
class FigureLink:
    """A revision of an evaluation; `changed` where figures of it are others than before."""

    institution_id: str
    period: str
    number: int
    changed: bool = True


@dataclass(frozen=True, slots=True)
class DiscrepancyRow:
    id: str
    span: Slot
    zone: str
    device: str
    resource_id: str
    resource: str
    institution_id: str
    institution: str
    keeps_meters: bool
    """Such a reader is led to the meter's page."""
    device_id: str
    found_at: datetime
    number: int
    differs: bool
    was_s: int
    would_be_s: int
    was_wh: int
    would_be_wh: int
    messages: int
    first_at: datetime | None
    last_at: datetime | None
    bills: Sequence[BillLink]
    """Accepted ones that rest on it."""
    figures: Sequence[FigureLink]
    corrections: Sequence[BillLink]
    revisions: Sequence[FigureLink]
    waits: bool
    """A published figure rests on it, and no revision is with it yet."""


@dataclass(frozen=True, slots=True)
class DiscrepanciesView:
    """GET /{lang}/desk/discrepancies?institution= and GET /{lang}/evaluation/discrepancies?institution=."""

    everywhere: bool
    institution: str
    """Empty for all of them."""
    institution_id: str
    institutions: Sequence[Choice]
    rows: Sequence[DiscrepancyRow]
    paging: Paging
    menu: Sequence[str] = ()
