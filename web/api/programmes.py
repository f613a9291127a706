"""Programmes over JSON: their rules by year, what organisations are granted, what bookings have of it."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import Field
from sqlalchemy.orm import Session

from billing.programmes import granting, lookback, queries
from billing.programmes.choosing import Base, Mode, ProgrammeKind
from billing.programmes.granting import Grant, Rule, Said
from billing.programmes.queries import Offered
from billing.programmes.tables import Entitlement, FundingProgramme, ProgrammeYear
from billing.tables import Statement
from booking import queries as booking
from marketplace.money import Money
from marketplace.permissions import Actor
from marketplace.refusals import Invalid, NotFound
from web.api import shapes
from web.api.shapes import Currency, Day, Flag, MoneyIn, Shape, Text, Whole
from web.deps import Db, Now, OneAnswer, ReadDb, SignedIn

router = APIRouter(prefix="/api/v1", tags=["billing"])


class YearIn(Shape):
    """The rule of a year of the programme, 1 for the first: a decimal string, and what is paid at most."""

    number: Annotated[Whole, Field(ge=1, le=20)]
    rate: Text
    booking_cap: MoneyIn | None = None
    year_cap: MoneyIn | None = None


class ProgrammeIn(Shape):
    """A draft. Programmes of one `stack` add up; one without it excludes every other."""

    name: Text
    name_en: Text | None = None
    payer: Text
    kind: Literal["voucher", "subsidy"]
    mode: Literal["deduct", "reimburse"] = "deduct"
    base: Literal["service", "usage"] = "service"
    stack: Annotated[Text, Field(max_length=80)] | None = None
    currency: Currency = "CNY"
    timezone: Text = "Asia/Shanghai"
    starts_on: Day
    evidence_required: Flag = False
    years: Annotated[Sequence[YearIn], Field(max_length=20)] = ()

    def value(self) -> Said:
        return Said(
            name=self.name,
            name_en=self.name_en,
            payer=self.payer,
            kind=ProgrammeKind(self.kind),
            mode=Mode(self.mode),
            base=Base(self.base),
            stack=self.stack,
            currency=self.currency,
            timezone=self.timezone,
            starts_on=self.starts_on,
            evidence_required=self.evidence_required,
        )


class GrantIn(Shape):
    """What an organisation may have paid in a year; said again, it is what was said last."""

    organisation_id: Text
    year: Annotated[Whole, Field(ge=1, le=20)] = 1
    amount: MoneyIn
    valid_until: Day | None = None
    reference: Text | None = None

    def value(self) -> Grant:
        return Grant(self.organisation_id, self.year, self.amount.value(), self.valid_until, self.reference)


def rule_of(row: FundingProgramme, body: YearIn) -> Rule:
    """Raises: Invalid (a cap in another currency)."""
    caps = {"booking_cap": body.booking_cap, "year_cap": body.year_cap}
    for field, cap in caps.items():
        if cap is not None and cap.currency != row.currency:
            raise Invalid(field=field, reason="must be in the currency of the programme and not negative")
    booking_cap, year_cap = (cap.minor if cap else None for cap in caps.values())
    return Rule(body.number, body.rate, booking_cap, year_cap)


def make_programme(db: Session, body: ProgrammeIn, actor_id: str, now: Now) -> FundingProgramme:
    """With its years. Raises: Invalid."""
    row = granting.create_programme(db, said=body.value(), actor_id=actor_id, now=now)
    for year in body.years:
        granting.set_year(db, programme_id=row.id, rule=rule_of(row, year), actor_id=actor_id, now=now)
    return row


def require_operator(actor: Actor, kind: str = "programme") -> None:
    """For everybody else it is not there. Raises: NotFound."""
    if not actor.is_operator:
        raise NotFound(kind=kind)


def shape(db: Session, row: FundingProgramme) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "name_en": row.name_en,
        "payer": row.payer,
        "kind": row.kind.value,
        "mode": row.mode.value,
        "base": row.base.value,
        "stack": row.stack,
        "currency": row.currency,
        "timezone": row.timezone,
        "starts_on": row.starts_on.isoformat(),
        "evidence_required": row.evidence_required,
        "years": [year_shape(year, row.currency) for year in queries.years_of(db, row.id)],
        "published_at": shapes.instant(row.published_at),
    }


def year_shape(row: ProgrammeYear, currency: str) -> dict[str, Any]:
    return {
        "number": row.number,
        "rate": row.rate,
        "booking_cap": _cap(row.booking_cap_minor, currency),
        "year_cap": _cap(row.year_cap_minor, currency),
    }


def _cap(minor: int | None, currency: str) -> dict[str, Any] | None:
    return None if minor is None else {"minor": minor, "currency": currency}


def grant_shape(row: Entitlement, currency: str) -> dict[str, Any]:
    left = row.granted_minor - row.reserved_minor - row.used_minor
    amounts = {"granted": row.granted_minor, "reserved": row.reserved_minor, "used": row.used_minor, "left": left}
    return {
        "id": row.id,
        "programme_id": row.programme_id,
        "organisation_id": row.organisation_id,
        "year": row.year,
        **{name: {"minor": minor, "currency": currency} for name, minor in amounts.items()},
        "expires_at": shapes.instant(row.expires_at),
        "reference": row.reference,
    }


def offered_shape(one: Offered) -> dict[str, Any]:
    return {**grant_shape(one.entitlement, one.programme.currency), "programme": one.programme.name, "rate": one.year.rate}


def shares_shape(db: Session, row: Statement) -> list[dict[str, Any]]:
    """What programmes pay of this version, beside the versions before it."""
    shares = [share for share in queries.shares_of_statement(db, row.id) if share.amount_minor]
    offered = queries.offered_by_ids(db, {share.entitlement_id for share in shares})
    return [
        {
            "programme_id": offered[share.entitlement_id].programme.id,
            "name": offered[share.entitlement_id].programme.name,
            "mode": offered[share.entitlement_id].programme.mode.value,
            "amount": {"minor": share.amount_minor, "currency": row.currency},
            "state": share.state.value,
        }
        for share in shares
    ]


@router.get("/programmes")
def programmes(db: ReadDb, actor: SignedIn) -> dict[str, Any]:
    """Those that are published; the operator's drafts are only the operator's."""
    rows = [row for row in queries.list_programmes(db) if row.published_at or actor.is_operator]
    return {"items": [shape(db, row) for row in rows], "next_cursor": None}


@router.post("/programmes", status_code=201)
def create(body: ProgrammeIn, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    require_operator(actor, "page")
    return once.answer(201, lambda: shape(db, make_programme(db, body, actor.known_id, now)))


@router.get("/programmes/{programme_id}")
def programme(programme_id: str, db: ReadDb, actor: SignedIn) -> dict[str, Any]:
    row = queries.get_programme(db, programme_id)
    if row.published_at is None:
        require_operator(actor)
    return shape(db, row)


@router.post("/programmes/{programme_id}/years", status_code=201)
def set_year(programme_id: str, body: YearIn, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    """Of a draft any year, of a published programme a further one."""
    require_operator(actor)
    row = queries.get_programme(db, programme_id)

    def make() -> dict[str, Any]:
        rule = rule_of(row, body)
        made = granting.set_year(db, programme_id=programme_id, rule=rule, actor_id=actor.known_id, now=now)
        return year_shape(made, row.currency)

    return once.answer(201, make)


@router.post("/programmes/{programme_id}/publish")
def publish(programme_id: str, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    require_operator(actor)

    def make() -> dict[str, Any]:
        return shape(db, granting.publish(db, programme_id=programme_id, actor_id=actor.known_id, now=now))

    return once.answer(200, make)


@router.get("/programmes/{programme_id}/simulation")
def simulate(programme_id: str, db: ReadDb, actor: SignedIn, now: Now, year: int = 1) -> dict[str, Any]:
    """What it would have paid for the last quarter's bills, by the rule of that year."""
    require_operator(actor)
    row = queries.get_programme(db, programme_id)
    found = lookback.effect(db, programme=row, year=year, now=now)
    return {
        "from": found.span.start.isoformat(),
        "to": found.span.end.isoformat(),
        "year": found.year,
        "bookings": found.bookings,
        "charged": shapes.money(found.charged(row.currency)),
        "programme_pays": shapes.money(found.paid(row.currency)),
        "complete": found.all_seen,
        "organisations": [
            {
                "organisation_id": one.organisation_id,
                "bookings": one.bookings,
                "charged": shapes.money(one.charged),
                "programme_pays": shapes.money(one.paid),
            }
            for one in found.firms
        ],
    }


@router.get("/programmes/{programme_id}/grants")
def grants(programme_id: str, db: ReadDb, actor: SignedIn) -> dict[str, Any]:
    """All of them for the operator, else those of one's own organisations."""
    row = queries.get_programme(db, programme_id)
    if row.published_at is None:
        require_operator(actor)
    if actor.is_operator:
        found = queries.entitlements_of(db, programme_id)
    else:
        found = queries.entitlements_of_own(db, programme_id, actor.organisations)
    return {"items": [grant_shape(one, row.currency) for one in found], "next_cursor": None}


@router.post("/programmes/{programme_id}/grants", status_code=201)
def grant(programme_id: str, body: GrantIn, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    require_operator(actor)
    row = queries.get_programme(db, programme_id)

    def make() -> dict[str, Any]:
        made = granting.grant(db, programme_id=programme_id, given=body.value(), actor_id=actor.known_id, now=now)
        return grant_shape(made, row.currency)

    return once.answer(201, make)


@router.get("/organisations/{organisation_id}/entitlements")
def entitlements(organisation_id: str, db: ReadDb, actor: SignedIn) -> dict[str, Any]:
    """What published programmes have granted it, and what is left."""
    if organisation_id not in actor.organisations and not actor.is_operator:
        raise NotFound(kind="organisation")
    found = queries.entitlements_of_organisations(db, [organisation_id])
    return {"items": [offered_shape(one) for one in found], "next_cursor": None}


@router.get("/bookings/{booking_id}/programmes")
def of_booking(booking_id: str, db: ReadDb, actor: SignedIn) -> dict[str, Any]:
    """What is reserved for the booking and what its accepted bills have used."""
    booking.get_booking_for(db, actor, booking_id)
    found = queries.parts_of_booking(db, booking_id)
    return {
        "items": [
            {
                "programme_id": one.programme.id,
                "name": one.programme.name,
                "mode": one.programme.mode.value,
                "reserved": shapes.money(Money(own.reserved_minor, one.programme.currency)),
                "used": shapes.money(Money(own.used_minor, one.programme.currency)),
            }
            for one, own in found
        ],
        "next_cursor": None,
    }
