"""One's messages in the app, and how one wants to be told by mail."""

from fastapi import APIRouter, Response

from marketplace.inbox import actions
from marketplace.refusals import Invalid
from marketplace.topics import Delivery, Topic
from web.deps import Db, Now, ReadDb, SignedIn
from web.pages.account import again
from web.pages.drawing import Drawing, Fields, text
from web.present import messages
from web.views.frame import EMPTY_FORM, Area

router = APIRouter(prefix="/{lang}")


@router.get("/messages")
def page(pen: Drawing, db: ReadDb, actor: SignedIn, cursor: str | None = None) -> Response:
    view = messages.view(db, actor, lang=pen.lang, cursor=cursor)
    return pen.page("messages.html", view, area=Area.ACCOUNT, zone=view.zone)


@router.post("/messages/read")
def read_all(pen: Drawing, _fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    actions.mark_all_read(db, person_id=actor.known_id, now=now)
    return pen.go("/messages", "all_read")


@router.get("/messages/{message_id}")
def open_one(pen: Drawing, message_id: str, db: Db, actor: SignedIn, now: Now) -> Response:
    """On to what the message is about; having been opened, it is read."""
    row = actions.mark_read(db, person_id=actor.known_id, message_id=message_id, now=now)
    return pen.go(messages.path_of(row, pen.lang).removeprefix(f"/{pen.lang.value}"))


@router.get("/account/messages")
def choices_page(pen: Drawing, db: ReadDb, actor: SignedIn) -> Response:
    view = messages.choices(db, actor, lang=pen.lang, form=EMPTY_FORM)
    return pen.page("message_choices.html", view, area=Area.ACCOUNT)


@router.post("/account/messages")
def choose(pen: Drawing, fields: Fields, db: Db, actor: SignedIn) -> Response:
    try:
        chosen = {topic: read_delivery(topic.value, text(fields, topic.value)) for topic in Topic}
        actions.choose(db, person_id=actor.known_id, choices=chosen, timezone=text(fields, "timezone"))
    except Invalid as refusal:
        view = messages.choices(db, actor, lang=pen.lang, form=again(pen, fields, refusal))
        return pen.page("message_choices.html", view, status=422, area=Area.ACCOUNT)
    return pen.go("/account/messages", "saved")


def read_delivery(field: str, typed: str) -> Delivery:
    """Raises: Invalid, naming the field."""
    try:
        return Delivery(typed)
    except ValueError as error:
        raise Invalid(field=field, reason="choose one of the list") from error
