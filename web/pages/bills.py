"""What one's firms were billed, as a page and as a file."""

from datetime import datetime

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from evaluation.exports.cells import safe
from marketplace.inbox import queries as inbox
from marketplace.permissions import Actor
from web.deps import Now, ReadDb, SignedIn
from web.pages.drawing import Drawing
from web.pages.sheets import csv_file
from web.present import bills
from web.present.bills import Asked
from web.views.frame import Area

router = APIRouter(prefix="/{lang}")
FARTHEST = 100_000
COLUMNS = ("number", "issued", "institution", "equipment", "organisation", "charge", "open", "currency", "state")


@router.get("/bills")
def page(
    pen: Drawing, db: ReadDb, actor: SignedIn, now: Now, month: str = "", organisation: str = "", cursor: str = ""
) -> Response:
    asked = _asked(db, actor, now, month, organisation, cursor)
    view = bills.bills(db, actor, asked, lang=pen.lang, now=now)
    return pen.page("bills.html", view, area=Area.BOOKINGS, zone=view.zone)


@router.get("/bills.csv")
def file(pen: Drawing, db: ReadDb, actor: SignedIn, now: Now, month: str = "", organisation: str = "") -> Response:
    """Of the month, 20,000 at most; amounts as decimals, so that they add up in a spreadsheet."""
    asked = _asked(db, actor, now, month, organisation, "")
    rows = (
        (row.number, row.issued_on, safe(row.institution), safe(row.resource), safe(row.organisation), *row.amounts, row.state)
        for row in bills.every_row(db, actor, asked, lang=pen.lang)
    )
    return csv_file(f"bills-{asked.month:%Y-%m}.csv", COLUMNS, rows)


@router.get("/bills.pdf")
def paper(pen: Drawing, db: ReadDb, actor: SignedIn, now: Now, month: str = "", organisation: str = "") -> Response:
    """The month's statement."""
    asked = _asked(db, actor, now, month, organisation, "")
    return pen.paper(
        "bills_paper.html", bills.paper(db, actor, asked, lang=pen.lang, now=now), name=f"bills-{asked.month:%Y-%m}.pdf"
    )


def _asked(db: Session, actor: Actor, now: datetime, month: str, organisation: str, cursor: str) -> Asked:
    """What of the address is none counts as not given."""
    known = bills.months(now, inbox.zone_of(db, actor.known_id))
    chosen = {f"{one:%Y-%m}": one for one in known}
    offset = int(cursor) if cursor.isascii() and cursor.isdecimal() and len(cursor) <= len(str(FARTHEST)) else 0
    return Asked(
        month=chosen.get(month, known[0]),
        organisation=organisation if organisation in actor.organisations else "",
        offset=min(offset, FARTHEST),
    )
