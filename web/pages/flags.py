"""Open questions about meters: for those who keep them, and for those who look over all institutions."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy.orm import Session

from devices import queries as devices
from devices.flags import actions
from marketplace.people import queries as people
from marketplace.permissions import Action, Actor, require
from marketplace.refusals import Invalid
from web.api.flags import own
from web.deps import Db, Now, ReadDb, SignedIn
from web.i18n import translator
from web.pages.desk import house_of
from web.pages.drawing import Drawing, Fields, Pen, text, typed
from web.pages.evaluation import require_overview
from web.present import flags
from web.views.frame import EMPTY_FORM, Area, FieldError, Form

router = APIRouter(prefix="/{lang}")
Cursor = Annotated[int, Query(ge=0, le=10**6)]


def _(text: str) -> str:
    """Marks a sentence for the catalogue; it is translated where it is shown."""
    return text


UNTOLD = _("Say in 1 to 1,000 characters why nothing is wrong, or what was done about it. The question is still open.")


@router.get("/desk/flags")
def page(pen: Drawing, db: ReadDb, actor: SignedIn, institution: str = "", cursor: Cursor = 0) -> Response:
    house = house_of(db, actor, institution)
    require(actor, Action.MANAGE_DEVICES, institution_id=house.id)
    return _drawn(pen, db, actor, _List(house.id, everywhere=False), cursor=cursor)


@router.get("/evaluation/flags")
def overview(pen: Drawing, db: ReadDb, actor: SignedIn, institution: str = "", cursor: Cursor = 0) -> Response:
    require_overview(actor)
    return _drawn(pen, db, actor, _List(institution, everywhere=True), cursor=cursor)


@router.post("/desk/flags/{flag_id}/close")
def close(pen: Drawing, flag_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    """With a word of why; the person comes back to the list that the form was in."""
    row = own(db, actor, flag_id)
    house = devices.get_device(db, row.device_id).institution_id
    back, name = _list_of(fields, actor, house), f"comment-{row.id}"
    comment = " ".join(text(fields, name).split())
    try:
        with db.begin_nested():
            actions.close(db, flag_id=row.id, comment=comment, actor_id=actor.known_id, now=now)
    except Invalid:
        said = translator(pen.lang)(UNTOLD)
        return _drawn(pen, db, actor, back, form=Form(typed(fields), [FieldError(name, said)]))
    return pen.go(f"{back.path}?institution={back.house}", "flag_closed")


@dataclass(frozen=True, slots=True)
class _List:
    """Of one institution's own people, or of those who look over all; `house` may be empty then."""

    house: str
    everywhere: bool

    @property
    def path(self) -> str:
        return "/evaluation/flags" if self.everywhere else "/desk/flags"


def _list_of(fields: Fields, actor: Actor, house: str) -> _List:
    """The list that a form was in. Raises: NotFound."""
    if not text(fields, "everywhere"):
        return _List(house, everywhere=False)
    require_overview(actor)
    return _List(house if text(fields, "institution") else "", everywhere=True)


def _drawn(pen: Pen, db: Session, actor: Actor, shown: _List, *, cursor: int = 0, form: Form = EMPTY_FORM) -> Response:
    status = 422 if form.errors else 200
    house = people.get_institution(db, shown.house) if shown.house else None
    if house and not shown.everywhere:
        view = flags.of_house(db, house, actor, lang=pen.lang, before=cursor, form=form)
        return pen.page("flags.html", view, status=status, area=Area.DESK, zone=house.timezone)
    view = flags.of_all(db, house, actor, lang=pen.lang, before=cursor, form=form)
    return pen.page("flags.html", view, status=status, area=Area.EVALUATION)
