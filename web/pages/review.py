"""The page before a booking: everything about it, and the one button that makes it."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from sqlalchemy.orm import Session

from marketplace.catalogue import queries as catalogue
from marketplace.refusals import Invalid, Refusal
from web.checkout import Order
from web.deps import Configured, Now, ReadDb
from web.pages.drawing import Drawing, Pen
from web.pages.public import Typed
from web.present import review
from web.refusals import status_of
from web.views.frame import Area

router = APIRouter(prefix="/{lang}")


@router.get("/r/{resource_id}/review")
def page(
    pen: Drawing,
    resource_id: str,
    db: ReadDb,
    now: Now,
    settings: Configured,
    typed: Annotated[Typed, Depends()],
) -> Response:
    asked = typed.asked
    if asked.slot is None:
        raise Invalid(field="end", reason="not after start")
    firm = asked.organisation if asked.organisation in pen.actor.organisations else None
    order = Order(resource_id, asked.slot, organisation_id=firm, purpose=asked.purpose or None, assisted=asked.assisted)
    return draw(pen, db, order, timedelta(minutes=settings.hold_minutes), now)


def draw(
    pen: Pen, db: Session, order: Order, hold: timedelta, now: datetime, *, key: str = "", refusal: Refusal | None = None
) -> Response:
    row = catalogue.get_visible(db, pen.actor, order.resource_id)
    view = review.view(db, row, order, actor=pen.actor, lang=pen.lang, now=now, hold=hold, key=key, refusal=refusal)
    status = status_of(refusal) if refusal else 200
    return pen.page("review.html", view, status=status, area=Area.SEARCH, zone=row.timezone)
