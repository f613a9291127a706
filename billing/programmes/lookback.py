"""What a programme would have paid for the last quarter's bills, each by the rule of one of its years."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from billing.pricing import USED, LineCode, Outcome
from billing.programmes.choosing import Bases, Programme, programme_pays
from billing.programmes.tables import FundingProgramme, ProgrammeYear
from billing.programmes.years import MOST_YEARS
from billing.queries import PAYING
from billing.tables import Statement
from booking.tables import Booking
from devices.tables import ConfirmedUse
from marketplace.money import Money, zero
from marketplace.refusals import NotFound
from marketplace.slot import Slot

QUARTER = timedelta(days=92)
MOST = 5000
"""Statements that are looked at, of the newest bookings."""


@dataclass(frozen=True, slots=True)
class OfFirm:
    organisation_id: str
    bookings: int
    charged: Money
    paid: Money
    """By the programme."""


@dataclass(frozen=True, slots=True)
class Effect:
    """By firm, the largest share first; `all_seen` unless there were more bills than are looked at."""

    span: Slot
    year: int
    firms: Sequence[OfFirm]
    all_seen: bool

    @property
    def bookings(self) -> int:
        return sum(one.bookings for one in self.firms)

    def paid(self, currency: str) -> Money:
        return sum((one.paid for one in self.firms), zero(currency))

    def charged(self, currency: str) -> Money:
        return sum((one.charged for one in self.firms), zero(currency))


def effect(session: Session, *, programme: FundingProgramme, year: int, now: datetime) -> Effect:
    """On every firm's accepted bills of bookings that began in the last 92 days. Reads only. Raises: NotFound (the year).

    A firm is granted as much as the year allows; other programmes are left out, and so is who would be granted nothing.
    A bill that rests on signatures is left out where the programme asks for evidence, as it would get nothing of it.
    """
    rule = session.get(ProgrammeYear, (programme.id, year)) if 1 <= year <= MOST_YEARS else None
    if rule is None:
        raise NotFound(kind="programme_year")
    span = Slot(now - QUARTER, now)
    attested = exists().where(ConfirmedUse.booking_id == Statement.booking_id, ConfirmedUse.attested_s > 0)
    rows = session.scalars(
        select(Statement)
        .join(Booking, Booking.id == Statement.booking_id)
        .where(Booking.starts_at >= span.start, Booking.starts_at < span.end, Statement.state.in_(PAYING))
        .where(Statement.currency == programme.currency, Statement.organisation_id.is_not(None))
        .where(*[~attested] if programme.evidence_required else [])
        .order_by(Booking.starts_at.desc(), Statement.booking_id, Statement.number.desc())
        .limit(MOST + 1)
    ).all()
    versions: dict[str, list[Statement]] = {}
    for row in rows[:MOST]:
        versions.setdefault(row.booking_id, []).append(row)
    firms: dict[str, list[list[Statement]]] = {}
    for bill in reversed(versions.values()):  # a year's grant is used by the earlier bookings first
        firms.setdefault(str(bill[0].organisation_id), []).append(bill)
    found = [_of_firm(firm, bills, programme, rule) for firm, bills in firms.items()]
    return Effect(span, year, sorted(found, key=lambda one: (-one.paid.minor, one.organisation_id)), len(rows) <= MOST)


def _of_firm(firm: str, bills: Sequence[Sequence[Statement]], programme: FundingProgramme, rule: ProgrammeYear) -> OfFirm:
    currency = programme.currency
    left = None if rule.year_cap_minor is None else Money(rule.year_cap_minor, currency)
    cap = None if rule.booking_cap_minor is None else Money(rule.booking_cap_minor, currency)
    charged = paid = zero(currency)
    for bill in bills:
        payer = Programme(programme.kind, Fraction(rule.rate), left, cap=cap, base=programme.base, mode=programme.mode)
        share = programme_pays(bases_of_bill(bill), [payer])
        left = left - share if left is not None else None
        charged, paid = charged + Money(sum(one.charge_minor for one in bill), currency), paid + share
    return OfFirm(firm, len(bills), charged, paid)


def bases_of_bill(versions: Sequence[Statement]) -> Bases:
    """Of a bill's accepted versions, the newest first; a penalty is no service."""
    newest = versions[0]
    nothing = zero(newest.currency)
    used = next((one for one in versions if one.use_id), None)
    if used is None or used.outcome is not Outcome.FULFILLED:
        return Bases(nothing, nothing)
    service = Money(max(sum(one.charge_minor - one.tax_minor for one in versions), 0), newest.currency)
    return Bases(service, min(service, _usage(used.lines, newest.currency)))


def _usage(lines: Sequence[Mapping[str, Any]], currency: str) -> Money:
    """Without tax."""
    used = sum(int(line["amount"]["minor"]) for line in lines if line["code"] in set(USED))
    tax = next((line for line in lines if line["code"] == LineCode.TAX.value), None)
    gross = Money(used, currency)
    if tax is None or tax["amount"]["minor"]:
        return gross
    rate = Fraction(tax["rate"])
    return gross - gross.times(rate / (1 + rate))
