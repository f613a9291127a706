"""Programmes for the operator and for firms; what of a booking's price they pay."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from billing import pricing
from billing.claims import queries as claims
from billing.claims.tables import ProgrammeClaim
from billing.exact import as_decimal
from billing.policy import Policy
from billing.programmes import lookback, queries
from billing.programmes.choosing import Base, Mode, ProgrammeKind
from billing.programmes.queries import Offered
from billing.programmes.tables import Entitlement, FundingProgramme, ProgrammeYear
from billing.programmes.years import first_day
from billing.tables import Statement
from marketplace.inbox import queries as inbox
from marketplace.money import EXPONENTS, Money
from marketplace.people import queries as people
from marketplace.permissions import Actor
from marketplace.slot import Slot
from web.i18n import translator
from web.labels import word
from web.views.frame import EMPTY_FORM, Choice, Form, Lang
from web.views.programmes import (
    ClaimRow,
    FirmEffect,
    GrantRow,
    Parts,
    ProgrammePart,
    ProgrammeRow,
    ProgrammesView,
    ProgrammeView,
    SimulationView,
    VoucherRow,
    VouchersView,
    VoucherUse,
    YearRow,
)

LINES = 5
"""Years that the form of a new programme has lines for; further ones are added on its page."""
MOST_FIRMS = 20
"""Of a look back, those that would have got most."""


def name_of(row: FundingProgramme, lang: Lang) -> str:
    return row.name_en or row.name if lang is Lang.EN else row.name


def foreseen(session: Session, organisation_id: str | None, slot: Slot, total: Money, policy: Policy, lang: Lang) -> Parts | None:
    """What programmes would pay of a price by the function that the booking reserves by; None where nothing."""
    bases = pricing.bases_of_quote(total, policy.tax)
    found = queries.foreseen(session, organisation_id, slot.start, bases)
    return _parts([(one, amount, None) for one, amount in found], total, lang)


def reserved(session: Session, booking_id: str, total: Money, lang: Lang) -> Parts | None:
    """What is reserved for a booking of its price; None where nothing."""
    held = [(one, Money(own.reserved_minor, total.currency), None) for one, own in queries.parts_of_booking(session, booking_id)]
    return _parts([one for one in held if one[1]], total, lang)


def of_statement(session: Session, made: Statement, lang: Lang) -> list[ProgrammePart]:
    """What programmes pay of this version, and what became of it."""
    shares = [share for share in queries.shares_of_statement(session, made.id) if share.amount_minor]
    found = queries.offered_by_ids(session, {share.entitlement_id for share in shares})
    return [
        ProgrammePart(
            name_of(found[share.entitlement_id].programme, lang),
            found[share.entitlement_id].programme.mode.value,
            Money(share.amount_minor, made.currency),
            share.state.value,
        )
        for share in shares
    ]


def _parts(found: Sequence[tuple[Offered, Money, str | None]], total: Money, lang: Lang) -> Parts | None:
    parts = [ProgrammePart(name_of(one.programme, lang), one.programme.mode.value, amount, state) for one, amount, state in found]
    deducted = sum((part.amount for part in parts if part.mode == Mode.DEDUCT.value), Money(0, total.currency))
    return Parts(parts, total - deducted) if parts else None


def listed(session: Session, lang: Lang, form: Form = EMPTY_FORM) -> ProgrammesView:
    return ProgrammesView(
        rows=[_row(session, row, lang) for row in queries.list_programmes(session)],
        kinds=_choices("programme_kind", ProgrammeKind, lang),
        modes=_choices("programme_mode", Mode, lang),
        bases=_choices("programme_base", Base, lang),
        currencies=[Choice(one, one, one == "CNY") for one in EXPONENTS],
        years=range(1, LINES + 1),
        form=form,
    )


def _choices(subject: str, values: Iterable[str], lang: Lang) -> list[Choice]:
    return [Choice(str(one), word(translator(lang), subject, str(one))) for one in values]


def _row(session: Session, row: FundingProgramme, lang: Lang) -> ProgrammeRow:
    rates = " / ".join(f"{_percent(year)} %" for year in queries.years_of(session, row.id))
    return ProgrammeRow(
        row.id, name_of(row, lang), row.payer, row.kind.value, row.mode.value, row.starts_on, rates, row.published_at
    )


def one(
    session: Session,
    row: FundingProgramme,
    *,
    lang: Lang,
    now: datetime,
    simulated: int | None = None,
    form: Form = EMPTY_FORM,
) -> ProgrammeView:
    """With a look back by the rule of a year where one is asked for. Raises: NotFound (that year)."""
    years, granted = queries.years_of(session, row.id), queries.entitlements_of(session, row.id)
    effect = lookback.effect(session, programme=row, year=simulated, now=now) if simulated else None
    ids = {one.organisation_id for one in granted} | {one.organisation_id for one in (effect.firms if effect else ())}
    called = {firm.id: firm.name for firm in people.organisations(session, ids)}
    return ProgrammeView(
        id=row.id,
        name=name_of(row, lang),
        payer=row.payer,
        kind=row.kind.value,
        mode=row.mode.value,
        base=row.base.value,
        stack=row.stack,
        currency=row.currency,
        starts_on=row.starts_on,
        evidence_required=row.evidence_required,
        published_at=row.published_at,
        years=[_year(row, year) for year in years],
        next_year=max((year.number for year in years), default=0) + 1,
        grants=[_grant(one, row, called.get(one.organisation_id, "")) for one in granted],
        claims=[claim_row(one) for one in claims.claims_of(session, row.id)],
        to_claim=claims.to_claim(session, row),
        year_choices=[Choice(str(year.number), str(year.number), year.number == simulated) for year in years],
        simulation=_simulation(row, effect, called) if effect else None,
        form=form,
        zone=row.timezone,
    )


def _year(row: FundingProgramme, year: ProgrammeYear) -> YearRow:
    caps = (None if cap is None else Money(cap, row.currency) for cap in (year.booking_cap_minor, year.year_cap_minor))
    return YearRow(year.number, first_day(year.number, row.starts_on), _percent(year), *caps)


def _percent(year: ProgrammeYear) -> str:
    return as_decimal(Fraction(year.rate) * 100)


def _grant(one: Entitlement, row: FundingProgramme, organisation: str) -> GrantRow:
    left = one.granted_minor - one.reserved_minor - one.used_minor
    return GrantRow(
        organisation=organisation,
        year=one.year,
        granted=Money(one.granted_minor, row.currency),
        reserved=Money(one.reserved_minor, row.currency),
        used=Money(one.used_minor, row.currency),
        left=Money(left, row.currency),
        until=last_day(one, row),
        reference=one.reference or "",
    )


def last_day(one: Entitlement, row: FundingProgramme) -> date:
    return one.expires_at.astimezone(ZoneInfo(row.timezone)).date() - timedelta(days=1)


def _simulation(row: FundingProgramme, found: lookback.Effect, called: dict[str, str]) -> SimulationView:
    firms = [FirmEffect(called.get(one.organisation_id, ""), one.bookings, one.charged, one.paid) for one in found.firms]
    charged, paid = found.charged(row.currency), found.paid(row.currency)
    return SimulationView(found.span, found.year, found.bookings, charged, paid, firms[:MOST_FIRMS], found.all_seen)


def claim_row(one: ProgrammeClaim) -> ClaimRow:
    asked, paid = Money(one.amount_minor, one.currency), Money(one.paid_minor, one.currency)
    return ClaimRow(one.id, one.number, one.period_from, one.period_to, one.state.value, asked, paid, one.serial or "")


def vouchers(session: Session, actor: Actor, *, lang: Lang, now: datetime) -> VouchersView:
    """Of all firms of the actor."""
    found = queries.entitlements_of_organisations(session, actor.organisations)
    called = {firm.id: firm.name for firm in people.organisations(session, actor.organisations)}
    by_id = {one.entitlement.id: one for one in found}
    uses = queries.last_shares(session, list(by_id))
    return VouchersView(
        rows=[_voucher(one, called[one.entitlement.organisation_id], lang, now) for one in found],
        uses=[
            VoucherUse(
                share.booking_id,
                name_of(by_id[share.entitlement_id].programme, lang),
                called[by_id[share.entitlement_id].entitlement.organisation_id],
                Money(share.amount_minor, by_id[share.entitlement_id].programme.currency),
                share.state.value,
            )
            for share in uses
        ],
        several=len(actor.organisations) > 1,
        zone=inbox.zone_of(session, actor.known_id).key,
    )


def _voucher(one: Offered, organisation: str, lang: Lang, now: datetime) -> VoucherRow:
    row, cap = one.programme, one.year.booking_cap_minor
    granted = _grant(one.entitlement, row, organisation)
    return VoucherRow(
        **{name: getattr(granted, name) for name in granted.__dataclass_fields__},
        programme=name_of(row, lang),
        payer=row.payer,
        percent=_percent(one.year),
        base=row.base.value,
        mode=row.mode.value,
        booking_cap=None if cap is None else Money(cap, row.currency),
        expired=one.entitlement.expires_at <= now,
    )
