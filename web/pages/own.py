"""One's own bookings, as a list or a calendar."""

from datetime import datetime, timedelta

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from marketplace.inbox import queries as inbox
from marketplace.permissions import Actor
from marketplace.refusals import Invalid
from web.deps import Now, ReadDb, SignedIn, read_date
from web.pages.drawing import Drawing, Pen
from web.present import own
from web.present.own import GROUPS, Asked, Mode
from web.views.frame import Area

router = APIRouter(prefix="/{lang}")
FARTHEST = timedelta(days=366 * 20)


@router.get("/bookings")
def page(
    pen: Drawing,
    db: ReadDb,
    actor: SignedIn,
    now: Now,
    view: str = "",
    day: str = "",
    state: str = "",
    organisation: str = "",
    cursor: str | None = None,
) -> Response:
    asked = read_asked(pen, db, actor, now, view=view, day=day, state=state, organisation=organisation, cursor=cursor)
    found = own.view(db, actor, asked, lang=pen.lang, now=now)
    return pen.page("bookings.html", found, area=Area.BOOKINGS, zone=found.zone)


def read_asked(
    pen: Pen, db: Session, actor: Actor, now: datetime, *, view: str, day: str, state: str, organisation: str, cursor: str | None
) -> Asked:
    """What of the address is none counts as not given."""
    today = now.astimezone(inbox.zone_of(db, actor.known_id)).date()
    try:
        chosen = read_date("day", day) or today
    except Invalid:
        chosen = today
    return Asked(
        mode=Mode(view) if view in set(Mode) else Mode.LIST,
        day=chosen if abs(chosen - today) < FARTHEST else today,
        first_weekday=pen.first_weekday(db),
        group=state if state in GROUPS else "",
        organisation=organisation if organisation in actor.organisations else "",
        cursor=cursor,
    )
