"""Signing in and out, joining, and one's own account."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta

from fastapi import APIRouter, Request, Response
from sqlalchemy.orm import Session

from marketplace import clock, outbox
from marketplace.people import actions, limits, queries
from marketplace.people.actions import Firm
from marketplace.people.secrets import digest
from marketplace.permissions import Actor, Grant
from marketplace.refusals import Invalid, NotAllowed, Refusal, TooMany
from marketplace.roles import Role
from marketplace.tables import Person
from marketplace.weeks import queries as weeks
from marketplace.weeks.actions import choose_first_day
from marketplace.weeks.tables import FirstDay
from web.agents import browser_in_words
from web.deps import Db, Now, ReadDb, SignedIn, session_cookie
from web.i18n import translator
from web.labels import word
from web.pages.drawing import Drawing, Fields, Pen, own_path, text, typed
from web.present import training
from web.reasons import beside, sentence
from web.refusals import status_of
from web.views.account import (
    AccountView,
    AskResetView,
    InvitationView,
    RegisterView,
    ResetView,
    RoleRow,
    SignedInRow,
    SignInView,
    TokenRow,
)
from web.views.desk import InvitationRow, MemberRow, MembersView
from web.views.frame import Area, Choice, FieldError, Form

router = APIRouter(prefix="/{lang}")
TRIES, TRIES_IN = 20, timedelta(minutes=5)
"""Registrations and resets from one address."""


def again(pen: Drawing, fields: Fields, refusal: Refusal, field: str | None = None) -> Form:
    """What was typed, with the refusal in words at its field."""
    name, translate = field or str(refusal.values.get("field", "")).split(".")[-1], translator(pen.lang)
    beside_it = isinstance(refusal, Invalid)
    said = beside(refusal.values, translate) if beside_it else sentence(refusal.code, refusal.values, translate)
    return Form(typed(fields), (FieldError(name, said),))


def sign_person_in(db: Session, pen: Drawing, person: Person, target: str, now: datetime) -> Response:
    """A fresh session cookie and on to where the person wanted to go, in the language in which they signed in."""
    request = pen.request
    secret = actions.sign_in(db, person=person, user_agent=request.headers.get("user-agent", ""), now=now)
    response = pen.go(re.sub(r"^/(zh|en)(?=/)", "", own_path(target, "/search")))
    secure = request.app.state.settings.secure_cookies
    age = int(queries.LONGEST_SESSION.total_seconds())
    response.set_cookie(session_cookie(request), secret, max_age=age, httponly=True, samesite="lax", secure=secure, path="/")
    return response


def _address(request: Request) -> str:
    return request.client.host if request.client else "unknown"


@router.get("/signin")
def signin_page(pen: Drawing, next: str = "") -> Response:  # noqa: A002 - the address's own word
    return pen.page("signin.html", SignInView(next=own_path(next, "")))


@router.post("/signin")
def signin(pen: Drawing, fields: Fields, request: Request, db: Db, now: Now) -> Response:
    target = own_path(text(fields, "next"), "/search")
    try:
        person = actions.check_sign_in(
            db, email=text(fields, "email"), password=str(fields.get("password", "")), address=_address(request), now=now
        )
    except (actions.WrongPassword, TooMany) as refusal:
        view = SignInView(next=target, form=again(pen, fields, refusal, "email"))
        return pen.page("signin.html", view, status=status_of(refusal))
    return sign_person_in(db, pen, person, target, now)


@router.post("/signout")
def signout(pen: Drawing, _fields: Fields, request: Request, db: Db) -> Response:
    actions.sign_out(db, secret=request.cookies.get(session_cookie(request), ""))
    response = pen.go("/search", "signed_out")
    response.delete_cookie(session_cookie(request), path="/")
    return response


@router.get("/register")
def register_page(pen: Drawing, next: str = "") -> Response:  # noqa: A002
    return pen.page("register.html", RegisterView(next=own_path(next, "")))


@router.post("/register")
def register(pen: Drawing, fields: Fields, request: Request, db: Db, now: Now) -> Response:
    target = own_path(text(fields, "next"), "/search")
    limits.count(db, f"register:{_address(request)}", limit=TRIES, window=TRIES_IN, now=now)

    def join() -> Person:
        firm = Firm(text(fields, "organisation"), text(fields, "credit_code") or None, text(fields, "is_sme") == "1")
        with db.begin_nested():
            _, person = actions.register_firm(
                db,
                firm=firm,
                email=text(fields, "email"),
                name=text(fields, "name"),
                password=str(fields.get("password", "")),
                locale=pen.lang.value,
                now=now,
            )
        return person

    return _joined(db, pen, join, target, now, lambda refusal: _not_registered(pen, fields, refusal, target))


def _not_registered(pen: Drawing, fields: Fields, refusal: Refusal, target: str) -> Response:
    places = {"email_taken": "email", "credit_code_taken": "credit_code"}
    form = again(pen, fields, refusal, places.get(refusal.code))
    return pen.page("register.html", RegisterView(next=target, form=form), status=status_of(refusal))


def _joined(
    db: Session, pen: Drawing, join: Callable[[], Person], target: str, now: datetime, refused: Callable[[Refusal], Response]
) -> Response:
    try:
        person = join()
    except (Invalid, actions.EmailTaken, actions.CreditCodeTaken, actions.WrongPassword) as refusal:
        return refused(refusal)
    return sign_person_in(db, pen, person, target, now)


@router.get("/invitations/{secret}")
def invitation_page(pen: Drawing, secret: str, db: ReadDb, now: Now) -> Response:
    return pen.page("invitation.html", _invitation(db, secret, now))


def _invitation(db: Session, secret: str, now: datetime, form: Form | None = None) -> InvitationView:
    ticket = queries.get_ticket(db, secret, purpose=actions.INVITATION, now=now)
    house = "Pilotbench"
    if ticket.institution_id:
        house = queries.get_institution(db, ticket.institution_id).name
    elif ticket.organisation_id:
        house = queries.get_organisation(db, ticket.organisation_id).name
    known = queries.find_person_by_email(db, ticket.email)
    role = (ticket.role or Role.MEMBER).value
    return InvitationView(secret, house, role, ticket.email, known is not None, form or Form())


@router.post("/invitations/{secret}")
def accept(pen: Drawing, secret: str, fields: Fields, db: Db, now: Now) -> Response:
    def join() -> Person:
        with db.begin_nested():
            return actions.accept_invitation(
                db,
                secret=secret,
                name=text(fields, "name"),
                password=str(fields.get("password", "")),
                locale=pen.lang.value,
                now=now,
            )

    def refused(refusal: Refusal) -> Response:
        view = _invitation(db, secret, now, again(pen, fields, refusal))
        return pen.page("invitation.html", view, status=status_of(refusal))

    return _joined(db, pen, join, "/desk", now, refused)


@router.get("/reset")
def reset_page(pen: Drawing) -> Response:
    return pen.page("reset.html", AskResetView())


@router.post("/reset")
def ask_reset(pen: Drawing, fields: Fields, request: Request, db: Db, now: Now) -> Response:
    """The same answer whether the address is known or not."""
    limits.count(db, f"reset:{_address(request)}", limit=TRIES, window=TRIES_IN, now=now)
    found = actions.ask_reset(db, email=text(fields, "email"), now=now)
    if found:
        person, secret = found
        cause = f"reset:{digest(secret)}"
        outbox.queue(db, person_id=person.id, kind="password_reset", data={"secret": secret}, cause=cause, now=now)
    return pen.page("reset.html", AskResetView(sent=True))


@router.get("/reset/{secret}")
def new_password_page(pen: Drawing, secret: str, db: ReadDb, now: Now) -> Response:
    queries.get_ticket(db, secret, purpose=actions.RESET, now=now)
    return pen.page("reset_password.html", ResetView(secret))


@router.post("/reset/{secret}")
def new_password(pen: Drawing, secret: str, fields: Fields, db: Db, now: Now) -> Response:
    try:
        person = actions.reset_password(db, secret=secret, password=str(fields.get("password", "")), now=now)
    except Invalid as refusal:
        view = ResetView(secret, again(pen, fields, refusal))
        return pen.page("reset_password.html", view, status=422)
    return sign_person_in(db, pen, person, "/search?done=password", now)


@router.get("/account")
def account_page(pen: Drawing, db: ReadDb, actor: SignedIn) -> Response:
    return pen.page("account.html", _account(db, pen, actor), area=Area.ACCOUNT)


def _account(db: Session, pen: Drawing, actor: Actor, new_token: str | None = None, form: Form | None = None) -> AccountView:
    present = digest(pen.request.cookies.get(session_cookie(pen.request), ""))
    houses = {row.id: row.name for row in queries.institutions(db, actor.institutions())}
    houses |= {row.id: row.name for row in queries.organisations(db, actor.organisations)}
    person = queries.get_person(db, actor.known_id)
    grants = sorted(actor.grants, key=lambda grant: grant.role.value)
    return AccountView(
        name=person.name,
        email=person.email,
        zone="Asia/Shanghai",
        locales=[Choice("zh", "中文", person.locale != "en"), Choice("en", "English", person.locale == "en")],
        first_days=_first_days(db, pen),
        roles=[RoleRow(g.role.value, houses.get(g.institution_id or g.organisation_id or "")) for g in grants],
        tokens=[
            TokenRow(row.id, row.label, row.created_at, row.last_used_at, row.expires_at)
            for row in queries.tokens_of(db, person.id)
        ],
        signed_in=[
            SignedInRow(
                row.secret_hash,
                row.created_at,
                row.seen_at,
                browser_in_words(row.user_agent or "", translator(pen.lang)),
                row.secret_hash == present,
            )
            for row in queries.sign_ins_of(db, person.id)
        ],
        new_token=new_token,
        members_url=f"/{pen.lang.value}/account/members" if actor.organisations else None,
        qualifications=training.own(db, actor, lang=pen.lang, now=clock.now()),
        form=form or Form(),
    )


def _first_days(db: Session, pen: Pen) -> list[Choice]:
    _, chosen = translator(pen.lang), weeks.find_first_day(db, pen.actor.known_id)
    named = {"": _("As usual in my region"), **{day.value: word(_, "first_day", day.value) for day in FirstDay}}
    return [Choice(code, label, code == (chosen or "")) for code, label in named.items()]


@router.post("/account")
def edit(pen: Drawing, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    try:
        with db.begin_nested():
            actions.edit_profile(db, person_id=actor.known_id, name=text(fields, "name"), locale=text(fields, "locale"), now=now)
            choose_first_day(db, person_id=actor.known_id, first_day=read_first_day(text(fields, "first_day")))
    except Invalid as refusal:
        view = _account(db, pen, actor, form=again(pen, fields, refusal))
        return pen.page("account.html", view, status=422, area=Area.ACCOUNT)
    return pen.go("/account", "saved")


def read_first_day(typed_text: str) -> FirstDay | None:
    """Raises: Invalid."""
    if typed_text not in {"", *FirstDay}:
        raise Invalid(field="first_day", reason="choose one of the list")
    return FirstDay(typed_text) if typed_text else None


@router.post("/account/password")
def change_password(pen: Drawing, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    try:
        actions.change_password(
            db,
            person_id=actor.known_id,
            present=str(fields.get("password", "")),
            password=str(fields.get("new_password", "")),
            now=now,
        )
    except (Invalid, actions.WrongPassword) as refusal:
        view = _account(db, pen, actor, form=again(pen, fields, refusal, "password"))
        return pen.page("account.html", view, status=status_of(refusal), area=Area.ACCOUNT)
    return pen.go("/account", "password")


@router.post("/account/tokens")
def create_token(pen: Drawing, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    try:
        token = actions.create_token(db, person_id=actor.known_id, label=text(fields, "token_name"), now=now)
    except Invalid as refusal:
        view = _account(db, pen, actor, form=again(pen, fields, refusal, "token_name"))
        return pen.page("account.html", view, status=422, area=Area.ACCOUNT)
    return pen.page("account.html", _account(db, pen, actor, token), status=201, area=Area.ACCOUNT)


@router.post("/account/tokens/{token_id}/revoke")
def revoke_token(pen: Drawing, token_id: str, _fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    actions.revoke_token(db, person_id=actor.known_id, token_id=token_id, now=now)
    return pen.go("/account", "token_revoked")


@router.post("/account/sessions/{session_id}/end")
def end_session(pen: Drawing, session_id: str, _fields: Fields, db: Db, actor: SignedIn) -> Response:
    actions.end_session(db, person_id=actor.known_id, secret_hash=session_id)
    return pen.go("/account", "session_ended")


def _own_organisation(actor: Actor) -> str:
    """Raises: NotAllowed."""
    if not actor.organisations:
        raise NotAllowed(action="invite")
    return sorted(actor.organisations)[0]


@router.get("/account/members")
def members_page(pen: Drawing, db: ReadDb, actor: SignedIn) -> Response:
    return pen.page("members.html", _members(db, pen, _own_organisation(actor)), area=Area.ACCOUNT)


def _members(db: Session, pen: Drawing, organisation_id: str, link: str | None = None, form: Form | None = None) -> MembersView:
    firm = queries.get_organisation(db, organisation_id)
    rows = [
        MemberRow(person.name, person.email, [membership.role.value], person.id == pen.actor.person_id)
        for person, membership in queries.members_of_organisation(db, organisation_id)
    ]
    waiting = [
        InvitationRow(row.email, (row.role or Role.MEMBER).value, row.expires_at)
        for row in queries.open_invitations(db, organisation_id=organisation_id)
    ]
    return MembersView(
        scope="organisation",
        name=firm.name,
        owner_id=firm.id,
        members=rows,
        invitations=waiting,
        roles=[Choice(Role.MEMBER.value, Role.MEMBER.value, chosen=True)],
        action=f"/{pen.lang.value}/account/members",
        can_invite=True,
        link=link,
        form=form or Form(),
    )


@router.post("/account/members")
def invite(pen: Drawing, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    organisation_id = _own_organisation(actor)
    try:
        grant = Grant(Role.MEMBER, organisation_id=organisation_id)
        secret = actions.invite(db, email=text(fields, "email"), grant=grant, actor_id=actor.known_id, now=now)
    except Invalid as refusal:
        view = _members(db, pen, organisation_id, form=again(pen, fields, refusal, "email"))
        return pen.page("members.html", view, status=422, area=Area.ACCOUNT)
    base = pen.request.app.state.settings.base_url.rstrip("/")
    link = f"{base}/{pen.lang.value}/invitations/{secret}"
    return pen.page("members.html", _members(db, pen, organisation_id, link), status=201, area=Area.ACCOUNT)
