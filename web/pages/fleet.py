"""How all meters do: for an institution its own, for the operator every one."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy.orm import Session

from devices.health.queries import Which
from evaluation.exports.cells import safe
from marketplace.people import queries as people
from marketplace.permissions import Action, Actor, require
from web.deps import Now, ReadDb, SignedIn
from web.pages.desk import house_of
from web.pages.drawing import Drawing, Pen
from web.pages.operator import require_operator
from web.pages.sheets import csv_file
from web.present import fleet
from web.present.fleet import Asked
from web.views.frame import Area

router = APIRouter(prefix="/{lang}")
Cursor = Annotated[int, Query(ge=0, le=10**6)]
HEAD = ("institution", "equipment", "meter", "key", "signal", "last message", "to look at", "turned away", "certificate ends")


@router.get("/desk/fleet")
def page(
    pen: Drawing, db: ReadDb, actor: SignedIn, now: Now, institution: str = "", which: str = "", cursor: Cursor = 0
) -> Response:
    return _drawn(pen, db, actor, _own(db, actor, institution, which), now, cursor)


@router.get("/operator/fleet")
def overview(
    pen: Drawing, db: ReadDb, actor: SignedIn, now: Now, institution: str = "", which: str = "", cursor: Cursor = 0
) -> Response:
    return _drawn(pen, db, actor, _all(db, actor, institution, which), now, cursor)


@router.get("/desk/fleet.csv")
def sheet(pen: Drawing, db: ReadDb, actor: SignedIn, now: Now, institution: str = "", which: str = "") -> Response:
    return _sheet(pen, db, _own(db, actor, institution, which), now)


@router.get("/operator/fleet.csv")
def sheet_of_all(pen: Drawing, db: ReadDb, actor: SignedIn, now: Now, institution: str = "", which: str = "") -> Response:
    return _sheet(pen, db, _all(db, actor, institution, which), now)


def _own(db: Session, actor: Actor, institution: str, which: str) -> Asked:
    """Raises: NotFound, NotAllowed."""
    house = house_of(db, actor, institution)
    require(actor, Action.MANAGE_DEVICES, institution_id=house.id)
    return Asked(house, _which(which), everywhere=False)


def _all(db: Session, actor: Actor, institution: str, which: str) -> Asked:
    """Raises: NotFound."""
    require_operator(actor)
    return Asked(people.get_institution(db, institution) if institution else None, _which(which), everywhere=True)


def _which(asked: str) -> Which:
    return Which(asked) if asked in set(Which) else Which.ALL


def _drawn(pen: Pen, db: Session, actor: Actor, asked: Asked, now: datetime, before: int) -> Response:
    view = fleet.fleet(db, asked, actor, lang=pen.lang, now=now, before=before)
    if asked.house and not asked.everywhere:
        return pen.page("fleet.html", view, area=Area.DESK, zone=asked.house.timezone)
    return pen.page("fleet.html", view, area=Area.OPERATOR)


def _sheet(pen: Pen, db: Session, asked: Asked, now: datetime) -> Response:
    """Instants in UTC."""
    rows = []
    for row in fleet.exported(db, asked, pen.lang, now=now):
        named = [safe(row.institution), safe(row.resource), safe(row.name), row.key, row.signal]
        times = [_instant(at) for at in (row.last_message_at, row.rejected_at, row.certificate_ends_at)]
        rows.append([*named, times[0], " ".join(row.marks), *times[1:]])
    return csv_file("meters.csv", HEAD, rows)


def _instant(at: datetime | None) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}" if at else ""
