"""Who works for an institution: everyone who does may see it, its managers invite."""

from datetime import datetime

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from marketplace import outbox
from marketplace.people import actions, queries
from marketplace.people.secrets import digest
from marketplace.permissions import Action, Grant, require
from marketplace.refusals import Invalid
from marketplace.roles import INSTITUTION_ROLES, Role
from marketplace.tables import Institution
from web.deps import Configured, Db, Now, ReadDb, SignedIn
from web.i18n import translator
from web.pages.desk import house_of
from web.pages.drawing import Drawing, Fields, text, typed
from web.present import members
from web.views.frame import Area, FieldError, Form, Lang

router = APIRouter(prefix="/{lang}/desk/members")


@router.get("")
def page(pen: Drawing, db: ReadDb, actor: SignedIn, now: Now, institution: str = "") -> Response:
    house = house_of(db, actor, institution)
    view = members.members(db, house, actor, lang=pen.lang, now=now)
    return pen.page("members.html", view, area=Area.DESK, zone=house.timezone)


@router.post("")
def invite(pen: Drawing, fields: Fields, db: Db, actor: SignedIn, now: Now, settings: Configured) -> Response:
    house = house_of(db, actor, text(fields, "owner_id"))
    require(actor, Action.MANAGE_INSTITUTION, institution_id=house.id)
    said = asked(db, fields, house, pen.lang)
    if not isinstance(said, Grant):
        view = members.members(db, house, actor, lang=pen.lang, now=now, form=Form(typed(fields), [said]))
        return pen.page("members.html", view, status=422, area=Area.DESK, zone=house.timezone)
    email = text(fields, "email")
    try:
        secret = actions.invite(db, email=email, grant=said, actor_id=actor.known_id, now=now)
    except Invalid:
        view = members.members(db, house, actor, lang=pen.lang, now=now, form=Form(typed(fields), [no_address(pen.lang)]))
        return pen.page("members.html", view, status=422, area=Area.DESK, zone=house.timezone)
    mailed = bool(settings.smtp_url.get_secret_value())
    if mailed:
        mail_to_account(db, email, secret, now)
    link = f"{settings.base_url.rstrip('/')}/{pen.lang.value}/invitations/{secret}"
    view = members.members(db, house, actor, lang=pen.lang, now=now, link=link, mailed=mailed)
    return pen.page("members.html", view, status=201, area=Area.DESK, zone=house.timezone)


def asked(db: Session, fields: Fields, house: Institution, lang: Lang) -> Grant | FieldError:
    """The role to be given, or what stands against it."""
    _ = translator(lang)
    code, email = text(fields, "role"), text(fields, "email").lower()
    if code not in INSTITUTION_ROLES:
        return FieldError("role", _("Choose one of the roles."))
    held = {(person.email, one.role) for person, one in queries.members_of_institution(db, house.id)}
    if (email, Role(code)) in held:
        return FieldError("email", _("This person has that role already. Nobody was invited."))
    return Grant(Role(code), institution_id=house.id)


def no_address(lang: Lang) -> FieldError:
    _ = translator(lang)
    return FieldError("email", _("This is no e-mail address. Write it as name@example.com; nobody was invited."))


def mail_to_account(db: Session, email: str, secret: str, now: datetime) -> None:
    """Mail goes to accounts; to an address without one the inviter sends the link."""
    if person := queries.find_person_by_email(db, email.lower()):
        cause = f"invitation:{digest(secret)}"
        outbox.queue(db, person_id=person.id, kind="invitation", data={"secret": secret}, cause=cause, now=now)
