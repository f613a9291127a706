"""Discrepancies: for an institution's own people, and for those who look over all institutions."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from marketplace.people import queries as people
from web.api.discrepancies import require_reader
from web.deps import ReadDb, SignedIn
from web.pages.desk import house_of
from web.pages.drawing import Drawing
from web.pages.evaluation import require_overview
from web.present import discrepancies
from web.views.frame import Area

router = APIRouter(prefix="/{lang}")
Cursor = Annotated[int, Query(ge=0, le=10**6)]


@router.get("/desk/discrepancies")
def page(pen: Drawing, db: ReadDb, actor: SignedIn, institution: str = "", cursor: Cursor = 0) -> Response:
    house = house_of(db, actor, institution)
    require_reader(actor, house.id)
    view = discrepancies.of_house(db, house, actor, lang=pen.lang, before=cursor)
    return pen.page("discrepancies.html", view, area=Area.DESK, zone=house.timezone)


@router.get("/evaluation/discrepancies")
def overview(pen: Drawing, db: ReadDb, actor: SignedIn, institution: str = "", cursor: Cursor = 0) -> Response:
    require_overview(actor)
    house = people.get_institution(db, institution) if institution else None
    view = discrepancies.of_all(db, house, actor, lang=pen.lang, before=cursor)
    return pen.page("discrepancies.html", view, area=Area.EVALUATION)
