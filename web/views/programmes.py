"""Programmes: the operator's pages, a firm's vouchers, and what is told of them beside a price and on a statement."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from marketplace.money import Money
from marketplace.slot import Slot
from web.views.frame import EMPTY_FORM, Choice, Form


@dataclass(frozen=True, slots=True)
class ProgrammePart:
    """What a programme pays of one booking; `mode` is deduct or reimburse, `state` that of its claim where there is one."""

    name: str
    mode: str
    amount: Money
    state: str | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """Of a booking, with what is left to the firm of its price."""

    parts: Sequence[ProgrammePart]
    left: Money


@dataclass(frozen=True, slots=True)
class ProgrammeRow:
    id: str
    name: str
    payer: str
    kind: str
    mode: str
    starts_on: date
    rates: str
    """Of its years, in percent."""
    published_at: datetime | None


@dataclass(frozen=True, slots=True)
class ProgrammesView:
    """GET/POST /{lang}/operator/programmes."""

    rows: Sequence[ProgrammeRow]
    kinds: Sequence[Choice]
    modes: Sequence[Choice]
    bases: Sequence[Choice]
    currencies: Sequence[Choice]
    years: Sequence[int]
    """For which the form has a line."""
    form: Form = EMPTY_FORM


@dataclass(frozen=True, slots=True)
class YearRow:
    number: int
    begins_on: date
    percent: str
    booking_cap: Money | None
    year_cap: Money | None


@dataclass(frozen=True, slots=True)
class GrantRow:
    organisation: str
    year: int
    granted: Money
    reserved: Money
    used: Money
    left: Money
    until: date
    """The last day on which a slot may begin."""
    reference: str


@dataclass(frozen=True, slots=True)
class FirmEffect:
    organisation: str
    bookings: int
    charged: Money
    paid: Money


@dataclass(frozen=True, slots=True)
class SimulationView:
    """What a year's rule would have paid for the last quarter's bills."""

    span: Slot
    year: int
    bookings: int
    charged: Money
    paid: Money
    firms: Sequence[FirmEffect]
    all_seen: bool


@dataclass(frozen=True, slots=True)
class ProgrammeView:
    """GET /{lang}/operator/programmes/{id}."""

    id: str
    name: str
    payer: str
    kind: str
    mode: str
    base: str
    stack: str | None
    currency: str
    starts_on: date
    evidence_required: bool
    published_at: datetime | None
    years: Sequence[YearRow]
    next_year: int
    grants: Sequence[GrantRow]
    claims: Sequence["ClaimRow"]
    to_claim: Money
    """What no claim asks for yet."""
    year_choices: Sequence[Choice]
    simulation: SimulationView | None
    form: Form = EMPTY_FORM
    zone: str = "Asia/Shanghai"


@dataclass(frozen=True, slots=True)
class ClaimRow:
    id: str
    number: int
    period_from: datetime
    period_to: datetime
    state: str
    asked: Money
    paid: Money
    serial: str


@dataclass(frozen=True, slots=True)
class ClaimLineRow:
    booking_id: str
    number: str
    """Of the statement."""
    organisation: str
    institution: str
    reference: str
    amount: Money
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class PassingRow:
    """What an institution gets of it; the serial once it has got it."""

    institution_id: str
    institution: str
    amount: Money
    serial: str | None


@dataclass(frozen=True, slots=True)
class ClaimView:
    """GET /{lang}/operator/programmes/{id}/claims/{claim}."""

    programme_id: str
    programme: str
    mode: str
    claim: ClaimRow
    lines: Sequence[ClaimLineRow]
    passing: Sequence[PassingRow]
    form: Form = EMPTY_FORM
    zone: str = "Asia/Shanghai"


@dataclass(frozen=True, slots=True)
class VoucherRow(GrantRow):
    """A grant with the rule of its year."""

    programme: str
    payer: str
    percent: str
    base: str
    mode: str
    booking_cap: Money | None
    expired: bool


@dataclass(frozen=True, slots=True)
class VoucherUse:
    booking_id: str
    programme: str
    organisation: str
    amount: Money
    state: str


@dataclass(frozen=True, slots=True)
class VouchersView:
    """GET /{lang}/vouchers: what one's firms were granted, and which bookings used it."""

    rows: Sequence[VoucherRow]
    uses: Sequence[VoucherUse]
    several: bool
    """One belongs to several firms."""
    zone: str = "Asia/Shanghai"
