"""The operator's pages: health, institutions with their first manager, audit."""

from fastapi import APIRouter, Request, Response
from sqlalchemy.orm import Session

from marketplace.people import actions as people
from marketplace.people.actions import House
from marketplace.permissions import Actor, Grant
from marketplace.refusals import Invalid, NotFound
from marketplace.roles import Role
from marketplace.tables import InstitutionKind
from web.api.health import readyz
from web.deps import Configured, Db, Now, ReadDb, SignedIn
from web.pages.account import again
from web.pages.drawing import Drawing, Fields, text
from web.present import operator
from web.refusals import status_of
from web.views.frame import Area

router = APIRouter(prefix="/{lang}")
ZONE = "Asia/Shanghai"


def require_operator(actor: Actor) -> None:
    """For everybody else these pages are not there. Raises: NotFound."""
    if not actor.is_operator:
        raise NotFound(kind="page")


@router.get("/operator")
def health(pen: Drawing, request: Request, db: ReadDb, actor: SignedIn, now: Now, settings: Configured) -> Response:
    require_operator(actor)
    found = readyz(request, Response(), now, settings)
    checks = {name: bool(holds) for name, holds in found.items() if name != "ready"}
    view = operator.health(db, checks, settings, lang=pen.lang, now=now)
    return pen.page("operator.html", view, area=Area.OPERATOR)


@router.get("/operator/institutions")
def institutions(pen: Drawing, db: ReadDb, actor: SignedIn) -> Response:
    require_operator(actor)
    return pen.page("operator_institutions.html", operator.institutions(db, pen.lang), area=Area.OPERATOR)


@router.post("/operator/institutions")
def create(pen: Drawing, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    require_operator(actor)
    try:
        with db.begin_nested():
            secret = _create(db, fields, actor, now)
    except (Invalid, people.CreditCodeTaken) as refusal:
        form = again(pen, fields, refusal, "credit_code" if isinstance(refusal, people.CreditCodeTaken) else None)
        view = operator.institutions(db, pen.lang, form=form)
        return pen.page("operator_institutions.html", view, status=status_of(refusal), area=Area.OPERATOR)
    base = pen.request.app.state.settings.base_url.rstrip("/")
    view = operator.institutions(db, pen.lang, link=f"{base}/{pen.lang.value}/invitations/{secret}")
    return pen.page("operator_institutions.html", view, status=201, area=Area.OPERATOR)


def _create(db: Session, fields: Fields, actor: Actor, now: Now) -> str:
    """The institution and its first manager's invitation. Raises: Invalid, CreditCodeTaken."""
    kind = text(fields, "kind")
    if kind not in set(InstitutionKind):
        raise Invalid(field="kind", reason="choose one of the list")
    said = House(
        name=text(fields, "name"),
        kind=InstitutionKind(kind),
        timezone=text(fields, "timezone") or ZONE,
        name_en=text(fields, "name_en") or None,
        district=text(fields, "district") or None,
        credit_code=text(fields, "credit_code") or None,
    )
    house = people.create_institution(db, house=said, actor_id=actor.known_id, now=now)
    grant = Grant(Role.MANAGER, institution_id=house.id)
    return people.invite(db, email=text(fields, "manager_email"), grant=grant, actor_id=actor.known_id, now=now)


@router.get("/operator/audit")
def audit(pen: Drawing, db: ReadDb, actor: SignedIn) -> Response:
    require_operator(actor)
    return pen.page("audit.html", operator.changes(db, pen.lang), area=Area.OPERATOR)
