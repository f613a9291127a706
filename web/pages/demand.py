"""Requests that came to nothing: what the house could not serve, and why."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from marketplace.permissions import Action, require
from web.deps import ReadDb, SignedIn
from web.pages.desk import house_of
from web.pages.drawing import Drawing
from web.present import demand
from web.views.frame import Area

router = APIRouter(prefix="/{lang}/desk/demand")


@router.get("")
def page(
    pen: Drawing, db: ReadDb, actor: SignedIn, institution: str = "", cursor: Annotated[int, Query(ge=0, le=10**6)] = 0
) -> Response:
    house = house_of(db, actor, institution)
    require(actor, Action.REVIEW_USE, institution_id=house.id)
    view = demand.demand(db, house, actor, lang=pen.lang, before=cursor)
    return pen.page("demand.html", view, area=Area.DESK, zone=house.timezone)
