"""What everybody may see: search, a listing with its week, live state, words about the product."""

from dataclasses import dataclass, replace
from datetime import date
from typing import Annotated, get_args

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse

from devices import queries as devices
from marketplace.catalogue import queries as catalogue
from marketplace.catalogue.search import Sort
from marketplace.permissions import Action, may
from marketplace.refusals import Invalid
from web import live
from web.deps import Db, Now, ReadDb, read_date
from web.dist import notices
from web.i18n import translator
from web.pages.drawing import THEME_COOKIE, Drawing, Fields, own_path, text
from web.present import resource, search
from web.views.frame import Area, Theme
from web.views.plain import AccessibilityView, LicencesView

router = APIRouter(prefix="/{lang}")


def _(sentence: str) -> str:
    return sentence


WORDS = {"match": _("Best match"), "earliest": _("Earliest"), "price": _("Price"), "name": _("Name")}
MOST_UNITS = 1000
LENGTHS = {"1h": _("1 hour"), "2h": _("2 hours"), "4h": _("Half a day (4 h)"), "8h": _("A day (8 h)")}


@dataclass(frozen=True, slots=True)
class Typed:
    """The use that an address asks for, as typed."""

    start: str = ""
    end: str = ""
    organisation_id: str = ""
    purpose: str = ""
    assisted: str = ""
    quantity: str = ""
    override: str = ""

    @property
    def asked(self) -> resource.Asked:
        return resource.Asked(
            start=self.start,
            end=self.end,
            organisation=self.organisation_id,
            purpose=self.purpose[:1000],
            assisted=bool(self.assisted),
            quantity=units_of(self.quantity),
            override=self.override[:1000],
        )


def units_of(value: str) -> int:
    """How many of an address or a field; what is no such number counts as one.

    >>> units_of("3"), units_of(""), units_of("0"), units_of("9999999999")
    (3, 1, 1, 1000)
    """
    number = int(value[:9]) if value.isascii() and value.isdigit() else 1
    return min(max(number, 1), MOST_UNITS)


def day_of(value: str) -> date | None:
    """Of an address; what is none counts as not given."""
    try:
        return read_date("day", value)
    except Invalid:
        return None


def _hours(value: str) -> float | None:
    try:
        found = float(value) if value else None
    except ValueError:
        return None
    return found if found is not None and 0 < found <= 744 else None


@router.get("/search")
def search_page(
    pen: Drawing,
    db: ReadDb,
    now: Now,
    q: str = "",
    day: str = "",
    until: str = "",
    hours: str = "",
    kind: Annotated[list[str], Query()] = [],  # noqa: B006 - fastapi copies it
    chain: Annotated[list[str], Query()] = [],  # noqa: B006
    district: Annotated[list[str], Query()] = [],  # noqa: B006
    free: str = "",
    assisted: str = "",
    min_price: str = "",
    max_price: str = "",
    budget: str = "",
    sort: str = "match",
    cursor: str | None = None,
) -> Response:
    wanted = search.Wanted(
        q=q[:200],
        day=day_of(day),
        until=day_of(until),
        hours=_hours(hours),
        kind=next(iter(kind), None),
        chain=next(iter(chain), None),
        district=next(iter(district), None),
        free=free == "1",
        assisted=assisted == "1",
        min_price=min_price[:20],
        max_price=max_price[:20],
        budget=budget[:20],
        sort=_sort(sort),
        cursor=cursor,
    )
    translate = translator(pen.lang)
    words = {name: translate(label) for name, label in {**WORDS, **LENGTHS}.items()}
    view = search.view(db, wanted, actor=pen.actor, lang=pen.lang, now=now, words=words)
    return pen.page("_results.html" if pen.partial else "search.html", view, area=Area.SEARCH)


def _sort(value: str) -> Sort:
    return value if value in get_args(Sort) else "match"  # type: ignore[return-value]


@router.get("/r/{resource_id}")
def resource_page(
    pen: Drawing,
    resource_id: str,
    db: ReadDb,
    now: Now,
    typed: Annotated[Typed, Depends()],
    week: str = "",
    day: str = "",
) -> Response:
    row = catalogue.get_visible(db, pen.actor, resource_id)
    asked = replace(typed.asked, week=day_of(week), day=day_of(day), first_weekday=pen.first_weekday(db))
    view = resource.view(db, row, asked, actor=pen.actor, lang=pen.lang, now=now)
    template = "_week.html" if pen.partial and pen.request.headers.get("hx-target", "").endswith("#week") else "resource.html"
    return pen.page(template, view, area=Area.SEARCH, zone=row.timezone)


@router.get("/r/{resource_id}/panel")
def panel(
    pen: Drawing,
    resource_id: str,
    db: ReadDb,
    now: Now,
    typed: Annotated[Typed, Depends()],
    day: str = "",
) -> Response:
    if not pen.partial:
        units = f"&quantity={typed.asked.quantity}" if typed.quantity else ""
        return pen.go(f"/r/{resource_id}?day={day}&start={typed.start}&end={typed.end}{units}#panel")
    row = catalogue.get_visible(db, pen.actor, resource_id)
    asked = replace(typed.asked, day=day_of(day))
    view = resource.panel(db, row, asked, actor=pen.actor, lang=pen.lang, now=now)
    return pen.page("_panel.html", view, zone=row.timezone)


@router.get("/live")
def live_states(pen: Drawing, request: Request, db: ReadDb, ids: str = "", meters: str = "") -> Response:
    """One stream for all of a page; listings that the actor may not see and meters they may not mind are left out."""
    seen = [row.id for row in catalogue.visible(db, pen.actor, named(ids))]
    known = devices.devices_by_id(db, named(meters)).values()
    minded = [row.id for row in known if may(pen.actor, Action.MANAGE_DEVICES, institution_id=row.institution_id)]
    return live.response(live.page_events(request, seen, minded))


def named(ids: str) -> list[str]:
    """What an address asks to watch."""
    return [one for one in ids.split(",") if one][: live.MOST_RESOURCES]


@router.post("/theme")
def theme(pen: Drawing, fields: Fields, _db: Db) -> Response:
    wanted = text(fields, "theme")
    target = own_path(text(fields, "next"), f"/{pen.lang.value}/search")
    response = RedirectResponse(target, 303)
    if wanted in set(Theme):
        response.set_cookie(THEME_COOKIE, wanted, max_age=31_536_000, samesite="lax", path="/")
    return response


@router.get("/accessibility")
def accessibility(pen: Drawing) -> Response:
    return pen.page("accessibility.html", AccessibilityView(contact=pen.request.app.state.settings.smtp_from))


@router.get("/licences")
def licences(pen: Drawing) -> Response:
    return pen.page("licences.html", LicencesView(notices=notices()))
