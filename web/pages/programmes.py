"""The operator's pages of programmes and claims, and a firm's page of what it was granted."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session
from starlette.datastructures import FormData

from billing.claims import actions as claims
from billing.claims import queries as claimed
from billing.exact import as_decimal
from billing.programmes import granting, queries
from billing.programmes.choosing import Base, Mode, ProgrammeKind
from billing.programmes.granting import Grant, Rule, Said
from billing.programmes.tables import FundingProgramme
from booking.availability import local_midnight
from marketplace.people import queries as people
from marketplace.permissions import Actor
from marketplace.refusals import Invalid, WrongState
from web.api.claims import as_file
from web.deps import Db, Now, ReadDb, SignedIn
from web.pages.account import again
from web.pages.bookings import read_money
from web.pages.drawing import Drawing, Fields, number, text
from web.pages.operator import require_operator
from web.present import claims as claim_view
from web.present import programmes as present
from web.refusals import status_of
from web.views.frame import EMPTY_FORM, Area, Form

router = APIRouter(prefix="/{lang}")
LIST, ONE, CLAIM, FIRM = "operator_programmes.html", "operator_programme.html", "operator_claim.html", "vouchers.html"
REFUSED = (Invalid, WrongState, claims.SerialTaken)


@router.get("/vouchers")
def vouchers(pen: Drawing, db: ReadDb, actor: SignedIn, now: Now) -> Response:
    view = present.vouchers(db, actor, lang=pen.lang, now=now)
    return pen.page(FIRM, view, area=Area.BOOKINGS, zone=view.zone)


@router.get("/operator/programmes")
def page(pen: Drawing, db: ReadDb, actor: SignedIn) -> Response:
    require_operator(actor)
    return pen.page(LIST, present.listed(db, pen.lang), area=Area.OPERATOR)


@router.post("/operator/programmes")
def create(pen: Drawing, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    """Form: name, name_en, payer, kind, mode, base, stack, currency, starts_on, evidence_required; rate_N, cap_N, most_N."""
    require_operator(actor)
    try:
        with db.begin_nested():
            made = _create(db, fields, actor, now)
    except Invalid as refusal:
        view = present.listed(db, pen.lang, again(pen, fields, refusal))
        return pen.page(LIST, view, status=status_of(refusal), area=Area.OPERATOR)
    return pen.go(f"/operator/programmes/{made.id}", "programme_made")


def _create(db: Session, fields: FormData, actor: Actor, now: datetime) -> FundingProgramme:
    """Raises: Invalid."""
    said = Said(
        name=text(fields, "name"),
        name_en=text(fields, "name_en") or None,
        payer=text(fields, "payer"),
        kind=ProgrammeKind(_chosen(fields, "kind", ProgrammeKind)),
        mode=Mode(_chosen(fields, "mode", Mode)),
        base=Base(_chosen(fields, "base", Base)),
        stack=text(fields, "stack") or None,
        currency=text(fields, "currency", "CNY"),
        starts_on=_day(fields, "starts_on"),
        evidence_required=text(fields, "evidence_required") == "1",
    )
    row = granting.create_programme(db, said=said, actor_id=actor.known_id, now=now)
    for year in range(1, present.LINES + 1):
        if text(fields, f"rate_{year}"):
            rule = _rule(fields, row, year, f"_{year}")
            granting.set_year(db, programme_id=row.id, rule=rule, actor_id=actor.known_id, now=now)
    return row


def _chosen(fields: FormData, name: str, kind: type[ProgrammeKind] | type[Mode] | type[Base]) -> str:
    """Raises: Invalid."""
    value = text(fields, name)
    if value not in set(kind):
        raise Invalid(field=name, reason="choose one of the list")
    return value


def _day(fields: FormData, name: str) -> date:
    """Of a year that every zone has whole. Raises: Invalid."""
    try:
        found = date.fromisoformat(text(fields, name))
    except ValueError as error:
        raise Invalid(field=name, reason="not a date") from error
    if not 2000 <= found.year <= 2200:
        raise Invalid(field=name, reason="not a date")
    return found


def _rule(fields: FormData, row: FundingProgramme, year: int, ending: str = "") -> Rule:
    """Raises: Invalid."""
    caps = (_cap(fields, f"{name}{ending}", row.currency) for name in ("booking_cap", "year_cap"))
    return Rule(year, _rate(fields, f"rate{ending}"), *caps)


def _rate(fields: FormData, name: str) -> str:
    """Percent as typed, as a decimal string of a share. Raises: Invalid."""
    try:
        share = Decimal(text(fields, name).rstrip("%％ ")) / 100
    except ArithmeticError as error:
        raise Invalid(field=name, reason="must be a number from 0") from error
    if not share.is_finite() or not 0 <= share <= 1 or share != round(share, 10):
        raise Invalid(field=name, reason="must be from 0 to 100")
    return as_decimal(Fraction(share))


def _cap(fields: FormData, name: str, currency: str) -> int | None:
    """Raises: Invalid."""
    typed = text(fields, name)
    try:
        return read_money(typed, currency).minor if typed else None
    except Invalid as refusal:
        raise Invalid(field=name, reason=refusal.values["reason"]) from refusal


@router.get("/operator/programmes/{programme_id}")
def one(pen: Drawing, programme_id: str, db: ReadDb, actor: SignedIn, now: Now, simulate: int = 0) -> Response:
    require_operator(actor)
    row = queries.get_programme(db, programme_id)
    view = present.one(db, row, lang=pen.lang, now=now, simulated=simulate or None)
    return pen.page(ONE, view, area=Area.OPERATOR, zone=view.zone)


@router.post("/operator/programmes/{programme_id}/years")
def add_year(pen: Drawing, programme_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    """Form: number, rate, booking_cap, year_cap."""
    row = _of_operator(db, actor, programme_id)

    def work() -> str:
        rule = _rule(fields, row, number(fields, "number"))
        granting.set_year(db, programme_id=programme_id, rule=rule, actor_id=actor.known_id, now=now)
        return "saved"

    return _done(pen, db, row, fields, now, work)


@router.post("/operator/programmes/{programme_id}/publish")
def publish(pen: Drawing, programme_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    row = _of_operator(db, actor, programme_id)

    def work() -> str:
        granting.publish(db, programme_id=programme_id, actor_id=actor.known_id, now=now)
        return "programme_published"

    return _done(pen, db, row, fields, now, work)


@router.post("/operator/programmes/{programme_id}/grants")
def grant(pen: Drawing, programme_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    """Form: organisation (its name, credit code or id), year, amount, valid_until, reference."""
    row = _of_operator(db, actor, programme_id)

    def work() -> str:
        found = people.named_organisations(db, text(fields, "organisation"))
        if len(found) != 1:
            raise Invalid(field="organisation", reason="no single firm has this name; give its credit code")
        given = Grant(
            organisation_id=found[0].id,
            year=number(fields, "year"),
            amount=read_money(text(fields, "amount"), row.currency),
            valid_until=_day(fields, "valid_until") if text(fields, "valid_until") else None,
            reference=text(fields, "reference") or None,
        )
        granting.grant(db, programme_id=programme_id, given=given, actor_id=actor.known_id, now=now)
        return "entitled"

    return _done(pen, db, row, fields, now, work)


@router.post("/operator/programmes/{programme_id}/claims")
def claim(pen: Drawing, programme_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    """Form: from, until: days of acceptance, the last one included, on the calendar of the programme."""
    row = _of_operator(db, actor, programme_id)
    zone = ZoneInfo(row.timezone)

    def work() -> str:
        since = local_midnight(_day(fields, "from"), zone)
        until = min(local_midnight(_day(fields, "until") + timedelta(days=1), zone), now)
        made = claims.claim(db, programme_id=programme_id, since=since, until=until, actor_id=actor.known_id, now=now)
        return f"claimed:{made.id}"

    return _done(pen, db, row, fields, now, work)


def _of_operator(db: Session, actor: Actor, programme_id: str) -> FundingProgramme:
    require_operator(actor)
    return queries.get_programme(db, programme_id)


def _done(pen: Drawing, db: Session, row: FundingProgramme, fields: FormData, now: datetime, work: Callable[[], str]) -> Response:
    """On to what was achieved, as `work` names it, or the page again with what stood in the way."""
    try:
        with db.begin_nested():
            done, _, made = work().partition(":")
    except REFUSED as refusal:
        view = present.one(db, row, lang=pen.lang, now=now, form=again(pen, fields, refusal))
        return pen.page(ONE, view, status=status_of(refusal), area=Area.OPERATOR, zone=view.zone)
    return pen.go(f"/operator/programmes/{row.id}" + (f"/claims/{made}" if made else ""), done)


@router.get("/operator/programmes/{programme_id}/claims/{claim_id}")
def one_claim(pen: Drawing, programme_id: str, claim_id: str, db: ReadDb, actor: SignedIn) -> Response:
    row = _of_operator(db, actor, programme_id)
    return _claim_page(pen, db, row, claim_id)


@router.get("/operator/programmes/{programme_id}/claims/{claim_id}/pack")
def pack(programme_id: str, claim_id: str, db: ReadDb, actor: SignedIn) -> Response:
    row = _of_operator(db, actor, programme_id)
    return as_file(db, row, claimed.get_claim(db, programme_id, claim_id))


def _claim_page(
    pen: Drawing, db: Session, row: FundingProgramme, claim_id: str, form: Form = EMPTY_FORM, status: int = 200
) -> Response:
    found = claimed.get_claim(db, row.id, claim_id)
    view = claim_view.claim(db, row, found, lang=pen.lang, form=form)
    return pen.page(CLAIM, view, status=status, area=Area.OPERATOR, zone=view.zone)


@router.post("/operator/programmes/{programme_id}/claims/{claim_id}/paid")
def paid(pen: Drawing, programme_id: str, claim_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    """Form: serial, received_on."""
    row = _of_operator(db, actor, programme_id)

    def work() -> None:
        claims.pay(
            db,
            programme_id=programme_id,
            claim_id=claim_id,
            serial=text(fields, "serial"),
            received_on=_day(fields, "received_on"),
            actor_id=actor.known_id,
            now=now,
        )

    return _answered(pen, db, row, claim_id, fields, work, "claim_paid")


@router.post("/operator/programmes/{programme_id}/claims/{claim_id}/rejected")
def rejected(pen: Drawing, programme_id: str, claim_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    """Form: reason, booking (several; none: all of the claim)."""
    row = _of_operator(db, actor, programme_id)

    def work() -> None:
        claims.reject(
            db,
            programme_id=programme_id,
            claim_id=claim_id,
            reason=text(fields, "reason"),
            booking_ids=[str(one) for one in fields.getlist("booking")],
            actor_id=actor.known_id,
            now=now,
        )

    return _answered(pen, db, row, claim_id, fields, work, "claim_rejected")


@router.post("/operator/programmes/{programme_id}/claims/{claim_id}/passed")
def passed(pen: Drawing, programme_id: str, claim_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    """Form: institution_id, serial."""
    row = _of_operator(db, actor, programme_id)

    def work() -> None:
        claims.pass_on(
            db,
            programme_id=programme_id,
            claim_id=claim_id,
            institution_id=text(fields, "institution_id"),
            serial=text(fields, "serial"),
            actor_id=actor.known_id,
            now=now,
        )

    return _answered(pen, db, row, claim_id, fields, work, "passed_on")


def _answered(
    pen: Drawing, db: Session, row: FundingProgramme, claim_id: str, fields: FormData, work: Callable[[], None], done: str
) -> Response:
    try:
        with db.begin_nested():
            work()
    except REFUSED as refusal:
        place = "serial" if isinstance(refusal, claims.SerialTaken) else None
        return _claim_page(pen, db, row, claim_id, again(pen, fields, refusal, place), status_of(refusal))
    return pen.go(f"/operator/programmes/{row.id}/claims/{claim_id}", done)
