"""Institutions, organisations, people, listings and search over JSON."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Response

from billing import policy as policies
from billing import queries as bills
from billing.quotes.queries import class_prices_of
from booking import queries as booking
from booking.lines.queries import shared_by
from marketplace.catalogue import actions as catalogue
from marketplace.catalogue import queries as listings
from marketplace.catalogue.actions import Listing
from marketplace.people import actions as people
from marketplace.people import queries as known
from marketplace.permissions import Action, Actor, Grant, may, require
from marketplace.refusals import Invalid
from marketplace.roles import Role
from marketplace.tables import CustomerClass, Institution, InstitutionKind, Resource, ResourceKind, Settlement
from web import listing
from web.api import shapes
from web.api.bookings import read_version
from web.api.resources import ResourceIn
from web.api.rules import read_further, read_rules, told, told_to_others
from web.deps import AnyActor, Db, Now, OneAnswer, ReadDb, SignedIn, read_date

router = APIRouter(prefix="/api/v1", tags=["marketplace"])


@router.post("/institutions", status_code=201)
def create_institution(body: shapes.InstitutionIn, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    require(actor, Action.MANAGE_PLATFORM)
    house = people.House(
        **body.model_dump(exclude={"kind", "settlement"}),
        kind=InstitutionKind(body.kind),
        settlement=Settlement(body.settlement),
    )
    return once.answer(201, lambda: institution(people.create_institution(db, house=house, actor_id=actor.person_id, now=now)))


def institution(row: Institution) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "name_en": row.name_en,
        "kind": row.kind.value,
        "district": row.district,
        "timezone": row.timezone,
        "credit_code": row.credit_code,
        "settlement": row.settlement.value,
    }


@router.post("/organisations", status_code=201)
def create_organisation(body: shapes.OrganisationIn, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    require(actor, Action.MANAGE_PLATFORM)
    firm = people.Firm(**body.model_dump(exclude={"customer_class"}), customer_class=CustomerClass(body.customer_class))

    def make() -> dict[str, Any]:
        row = people.create_organisation(db, firm=firm, actor_id=actor.person_id, now=now)
        return {"id": row.id, "name": row.name, "is_sme": row.is_sme, "customer_class": row.customer_class.value}

    return once.answer(201, make)


@router.post("/organisations/{organisation_id}/related-parties", status_code=201)
def declare_related(organisation_id: str, body: shapes.RelatedIn, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    require(actor, Action.MANAGE_INSTITUTION, institution_id=body.institution_id)

    def make() -> dict[str, Any]:
        people.declare_related(
            db,
            organisation_id=organisation_id,
            institution_id=body.institution_id,
            reason=body.reason,
            actor_id=actor.known_id,
            now=now,
        )
        return {"organisation_id": organisation_id, "institution_id": body.institution_id}

    return once.answer(201, make)


@router.post("/people", status_code=201)
def create_person(body: shapes.PersonIn, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    grants = [Grant(Role(m.role), m.institution_id, m.organisation_id) for m in body.memberships]
    _require_to_grant(actor, grants)

    def make() -> dict[str, Any]:
        row = people.create_person(
            db,
            email=body.email,
            name=body.name,
            locale="en" if body.locale == "en" else "zh",
            grants=grants,
            actor_id=actor.person_id,
            now=now,
        )
        token = people.create_token(db, person_id=row.id, label="API", now=now)
        return {"id": row.id, "email": row.email, "name": row.name, "token": token}

    return once.answer(201, make)


def _require_to_grant(actor: Actor, grants: list[Grant]) -> None:
    """The operator may grant anything; a manager may grant roles in the own institution."""
    if not grants:
        require(actor, Action.MANAGE_PLATFORM)
    for grant in grants:
        if grant.institution_id:
            require(actor, Action.MANAGE_INSTITUTION, institution_id=grant.institution_id)
        else:
            require(actor, Action.MANAGE_PLATFORM)


@router.post("/resources", status_code=201)
def create_resource(body: ResourceIn, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    require(actor, Action.LIST_RESOURCES, institution_id=body.institution_id)

    def make() -> dict[str, Any]:
        row = listing.open_resource(
            db,
            institution_id=body.institution_id,
            listing=listing_of(body),
            rules_set=read_rules(body.rules, hours=body.hours, step_min=body.step_min),
            further=read_further(body.rules),
            policy=body.policy,
            shares=body.shares,
            actor_id=actor.known_id,
            now=now,
        )
        return {**resource(row), "shares": shared_by(db, row.id)}

    return once.answer(201, make)


def listing_of(body: ResourceIn) -> Listing:
    """Raises: Invalid."""
    if body.value and body.value.currency != body.price_per_hour.currency:
        raise Invalid(field="value", reason="must be in the currency of the price")
    return Listing(
        kind=ResourceKind(body.kind),
        name=body.name,
        name_en=body.name_en,
        summary=body.summary,
        summary_en=body.summary_en,
        timezone=body.timezone,
        price=body.price_per_hour.value(),
        chain=body.chain,
        district=body.district,
        capacity=body.capacity,
        parent_id=body.parent_id,
        quota_hours=body.quota_hours,
        value_minor=body.value.minor if body.value else None,
        commissioned_on=read_date("commissioned_on", body.commissioned_on),
    )


def resource(row: Resource) -> dict[str, Any]:
    return {
        "id": row.id,
        "institution_id": row.institution_id,
        "parent_id": row.parent_id,
        "kind": row.kind.value,
        "name": row.name,
        "name_en": row.name_en,
        "summary": row.summary,
        "summary_en": row.summary_en,
        "timezone": row.timezone,
        "district": row.district,
        "chain": row.chain,
        "capacity": row.capacity,
        "price_per_hour": shapes.money(row.price),
        "quota_hours": row.quota_hours,
        "commissioned_on": row.commissioned_on.isoformat() if row.commissioned_on else None,
        "state": row.state.value,
        "version": row.version,
    }


@router.post("/resources/{resource_id}/publish")
def publish(resource_id: str, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    require_to_list(db, actor, resource_id)
    return once.answer(200, lambda: resource(catalogue.publish(db, resource_id=resource_id, actor_id=actor.known_id, now=now)))


@router.post("/resources/{resource_id}/pause")
def pause(resource_id: str, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    require_to_list(db, actor, resource_id)
    return once.answer(200, lambda: resource(catalogue.pause(db, resource_id=resource_id, actor_id=actor.known_id, now=now)))


def require_to_list(db: ReadDb, actor: Actor, resource_id: str) -> Resource:
    """Raises: NotFound, NotAllowed."""
    row = listings.get_visible(db, actor, resource_id)
    require(actor, Action.LIST_RESOURCES, institution_id=row.institution_id)
    return row


@router.put("/resources/{resource_id}", response_model=None)
def edit_resource(
    resource_id: str,
    body: ResourceIn,
    db: Db,
    actor: SignedIn,
    now: Now,
    response: Response,
    if_match: Annotated[str | None, Header()] = None,
) -> dict[str, Any]:
    found = require_to_list(db, actor, resource_id)
    if body.institution_id != found.institution_id:
        raise Invalid(field="institution_id", reason="a resource stays with its institution")
    edited = listing.edit_resource(
        db,
        resource_id=resource_id,
        listing=listing_of(body),
        rules_set=read_rules(body.rules, hours=body.hours, step_min=body.step_min),
        further=read_further(body.rules),
        policy=body.policy,
        shares=body.shares,
        version=read_version(if_match, found.version),
        actor_id=actor.known_id,
        now=now,
    )
    response.headers["etag"] = f'"{edited.version}"'
    return {**resource(edited), "shares": shared_by(db, edited.id)}


@router.get("/resources/{resource_id}")
def read_resource(resource_id: str, db: ReadDb, actor: AnyActor, response: Response) -> dict[str, Any]:
    row = listings.get_visible(db, actor, resource_id)
    version = booking.rules_of(db, resource_id)
    response.headers["etag"] = f'"{row.version}"'
    publisher = may(actor, Action.LIST_RESOURCES, institution_id=row.institution_id)
    rules = told(version) if publisher else told_to_others(version)
    shares = shared_by(db, row.id) if publisher else []
    hours = shapes.hours(version.hours)
    prices = {kind: shapes.money(price) for kind, price in class_prices_of(db, row.id).items()}
    terms = policies.as_json(bills.policy_of(db, row.id))
    return {
        **resource(row),
        "class_prices": prices,
        "tariff": terms.get("tariff", []),
        "tax": terms.get("tax"),
        "shares": shares,
        "step_min": version.step_min,
        "hours": hours,
        "rules": rules,
    }


@router.get("/institutions")
def institutions(db: ReadDb, page: shapes.Page) -> dict[str, Any]:
    return page.listed(known.institutions(db, None, **page.asked), institution)
