"""Writes of programmes and grants: what the platform's operator says of them."""

from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from billing.exact import read_rate
from billing.programmes import queries
from billing.programmes.choosing import Base, Mode, ProgrammeKind
from billing.programmes.tables import Entitlement, FundingProgramme, ProgrammeYear
from billing.programmes.years import MOST_YEARS, first_day
from booking.availability import local_midnight
from marketplace import audit
from marketplace.ids import new_id
from marketplace.money import EXPONENTS, Money
from marketplace.people.queries import get_organisation
from marketplace.people.text import clean
from marketplace.refusals import Invalid, WrongState

MOST_MINOR = 10**13


@dataclass(frozen=True, slots=True)
class Said:
    """A programme as its operator says it. Without a stack it excludes every other."""

    name: str
    payer: str
    kind: ProgrammeKind
    starts_on: date
    currency: str = "CNY"
    timezone: str = "Asia/Shanghai"
    mode: Mode = Mode.DEDUCT
    base: Base = Base.SERVICE
    name_en: str | None = None
    stack: str | None = None
    evidence_required: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """Of one year: the share as a decimal string, and caps in minor units."""

    number: int
    rate: str
    booking_cap: int | None = None
    year_cap: int | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """To whom how much of which year, until which day its slots must have begun (the year's last where none is said)."""

    organisation_id: str
    year: int
    amount: Money
    valid_until: date | None = None
    reference: str | None = None


def create_programme(session: Session, *, said: Said, actor_id: str, now: datetime) -> FundingProgramme:
    """A draft, of which nothing counts until it is published. Raises: Invalid."""
    _check(said)
    row = FundingProgramme(
        id=new_id("prg"),
        name=clean(said.name, field="name"),
        name_en=clean(said.name_en, field="name_en") if said.name_en else None,
        payer=clean(said.payer, field="payer"),
        kind=said.kind,
        mode=said.mode,
        base=said.base,
        stack=clean(said.stack, field="stack", longest=80) if said.stack else None,
        currency=said.currency,
        timezone=said.timezone,
        starts_on=said.starts_on,
        evidence_required=said.evidence_required,
        created_by=actor_id,
        created_at=now,
        published_at=None,
    )
    session.add(row)
    session.flush()
    _note(session, row, "create_programme", actor_id, now)
    return row


def _check(said: Said) -> None:
    if said.currency not in EXPONENTS:
        raise Invalid(field="currency", reason="choose one of the list")
    try:
        ZoneInfo(said.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid(field="timezone", reason="must be an IANA zone, such as Asia/Shanghai") from None
    if not 2000 <= said.starts_on.year <= 2200:
        raise Invalid(field="starts_on", reason="not a date")


def set_year(session: Session, *, programme_id: str, rule: Rule, actor_id: str, now: datetime) -> ProgrammeYear:
    """Say the rule of a year, or another one while the programme is a draft. Raises: NotFound, Invalid, WrongState."""
    programme = queries.lock_programme(session, programme_id)
    read_rate("rate", rule.rate, most=Fraction(1))
    if not 1 <= rule.number <= MOST_YEARS:
        raise Invalid(field="number", reason="must be a year from 1 to {most}", most=MOST_YEARS)
    for field, cap in (("booking_cap", rule.booking_cap), ("year_cap", rule.year_cap)):
        if cap is not None and not 0 <= cap <= MOST_MINOR:
            raise Invalid(field=field, reason="must not be negative")
    row = session.get(ProgrammeYear, (programme_id, rule.number))
    if row is not None and programme.published_at is not None:
        raise WrongState(state="published", move="set_year")
    _check_granted(session, programme_id, rule.number, rule.year_cap)
    if row is None:
        row = ProgrammeYear(programme_id=programme_id, number=rule.number)
        session.add(row)
    row.rate, row.booking_cap_minor, row.year_cap_minor = rule.rate, rule.booking_cap, rule.year_cap
    session.flush()
    _note(session, programme, "set_programme_year", actor_id, now, rule=rule)
    return row


def publish(session: Session, *, programme_id: str, actor_id: str, now: datetime) -> FundingProgramme:
    """From now on it pays what it granted.

    Raises: NotFound, WrongState (published before, or without any year), Invalid (more was granted than a year's cap).
    """
    row = queries.lock_programme(session, programme_id)
    if row.published_at is not None:
        raise WrongState(state="published", move="publish_programme")
    years = queries.years_of(session, programme_id)
    if not years:
        raise WrongState(state="without_years", move="publish_programme")
    for year in years:
        _check_granted(session, programme_id, year.number, year.year_cap_minor)
    row.published_at = now
    session.flush()
    _note(session, row, "publish_programme", actor_id, now)
    return row


def grant(session: Session, *, programme_id: str, given: Grant, actor_id: str, now: datetime) -> Entitlement:
    """Entitle an organisation for a year; said again, it is what was said last, never less than what is used and reserved.

    Raises: NotFound, Invalid.
    """
    programme = queries.lock_programme(session, programme_id)
    get_organisation(session, given.organisation_id)
    rule = session.get(ProgrammeYear, (programme_id, given.year))
    if rule is None:
        raise Invalid(field="year", reason="the programme has no rule for this year")
    _check_amount(programme, rule, given.amount)
    expires_at = _expiry(programme, given)
    row = session.scalars(_found(given, programme_id)).one_or_none()
    if row is None:
        row = Entitlement(
            id=new_id("ent"),
            programme_id=programme_id,
            organisation_id=given.organisation_id,
            year=given.year,
            reserved_minor=0,
            used_minor=0,
        )
        session.add(row)
    elif given.amount.minor < row.reserved_minor + row.used_minor:
        raise Invalid(field="amount", reason="is less than what is used and reserved already")
    row.granted_minor, row.expires_at, row.granted_by, row.granted_at = given.amount.minor, expires_at, actor_id, now
    row.reference = clean(given.reference, field="reference") if given.reference else None
    session.flush()
    _note(session, programme, "grant_entitlement", actor_id, now, given=given)
    return row


def _found(given: Grant, programme_id: str) -> Select[Entitlement]:
    mine = Entitlement.programme_id == programme_id, Entitlement.organisation_id == given.organisation_id
    found = select(Entitlement).where(*mine, Entitlement.year == given.year)
    return found.with_for_update().execution_options(populate_existing=True)


def _check_amount(programme: FundingProgramme, rule: ProgrammeYear, amount: Money) -> None:
    if amount.currency != programme.currency or not 0 <= amount.minor <= MOST_MINOR:
        raise Invalid(field="amount", reason="must be in the currency of the programme and not negative")
    if rule.year_cap_minor is not None and amount.minor > rule.year_cap_minor:
        raise Invalid(field="amount", reason="is more than anybody may be granted for this year")


def _check_granted(session: Session, programme_id: str, year: int, cap: int | None) -> None:
    """That nobody has more of the year than the cap allows."""
    if cap is not None and cap < queries.largest_grant(session, programme_id, year):
        raise Invalid(field="year_cap", reason="is less than what somebody was granted for this year")


def _expiry(programme: FundingProgramme, given: Grant) -> datetime:
    start, end = (first_day(number, programme.starts_on) for number in (given.year, given.year + 1))
    last = given.valid_until or end - timedelta(days=1)
    if not start <= last < end:
        raise Invalid(field="valid_until", reason="must lie within the year of the programme")
    return local_midnight(last + timedelta(days=1), ZoneInfo(programme.timezone))


def _note(
    session: Session,
    row: FundingProgramme,
    action: str,
    actor_id: str,
    now: datetime,
    *,
    rule: Rule | None = None,
    given: Grant | None = None,
) -> None:
    said = asdict(rule) if rule else {"name": row.name, "payer": row.payer}
    if given:
        said = {"organisation_id": given.organisation_id, "year": given.year, "granted_minor": given.amount.minor}
    audit.record(
        session,
        actor_id=actor_id,
        action=action,
        object_kind="programme",
        object_id=row.id,
        institution_id=None,
        before=None,
        after=said,
        now=now,
    )
