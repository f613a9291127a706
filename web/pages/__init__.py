"""Server-drawn pages in two languages."""

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import RedirectResponse

from marketplace.permissions import NOBODY, Actor
from marketplace.refusals import NotSignedIn, Refusal, Refused
from web.deps import find_actor
from web.dist import Assets
from web.i18n import translator
from web.pages import (
    account,
    accounts,
    approvals,
    attestations,
    bills,
    bookings,
    chains,
    changes,
    connect,
    costs,
    demand,
    desk,
    device,
    discovery,
    discrepancies,
    entries,
    evaluation,
    evidence,
    external,
    feeds,
    flags,
    fleet,
    members,
    messages,
    operator,
    outages,
    own,
    paying,
    payments,
    policy,
    programmes,
    public,
    reading,
    retire,
    review,
    rules,
    series,
    statements,
    timeline,
    together,
    training,
    waiting,
)
from web.pages.drawing import Pen, count_unread
from web.reasons import sentence
from web.refusals import title
from web.views.plain import ErrorView

root = APIRouter()
LANGUAGES = ("zh", "en")


@root.get("/", include_in_schema=False)
def front(request: Request) -> Response:
    """To the search in the reader's language: Chinese unless the browser prefers English."""
    return RedirectResponse(f"/{language_of(request)}/search", 307)


def language_of(request: Request) -> str:
    """From the address, else from what the browser asks for."""
    first = request.url.path.split("/", 2)[1] if request.url.path.count("/") else ""
    if first in LANGUAGES:
        return first
    accepted = request.headers.get("accept-language", "").lower()
    return "en" if accepted.startswith("en") else "zh"


def include(app: FastAPI) -> None:
    """Hang pages and assets into the application."""
    app.include_router(root)
    app.include_router(feeds.root)
    people = (
        public,
        account,
        messages,
        feeds,
        own,
        review,
        bookings,
        paying,
        chains,
        waiting,
        changes,
        together,
        series,
        attestations,
        bills,
        costs,
        statements,
    )
    publishers = (
        connect,
        device,
        discovery,
        discrepancies,
        reading,
        outages,
        retire,
        external,
        members,
        policy,
        rules,
        training,
        timeline,
        approvals,
        demand,
        desk,
        entries,
        evaluation,
        evidence,
        flags,
        fleet,
        operator,
        payments,
        accounts,
        programmes,
    )
    for module in (*people, *publishers):
        app.include_router(module.router, include_in_schema=False)
    app.mount("/static", Assets(), name="static")


def _reader(request: Request) -> Actor:
    """Whose page it is; nobody's where the request itself hides or forges that."""
    try:
        return find_actor(request)
    except Refusal:
        return NOBODY


def refusal_page(request: Request, refusal: Refusal, status: int) -> Response:
    """The page that says what happened, what was kept, and what to do; a person who must sign in is led there."""
    language = language_of(request)
    if isinstance(refusal, NotSignedIn) and request.method == "GET":
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/{language}/signin?next={target.replace('&', '%26')}", 303)
    actor = _reader(request)
    pen = Pen(request, language, actor, count_unread(request, actor))  # type: ignore[arg-type]
    translate = translator(pen.lang)
    reasons = refusal.reasons if isinstance(refusal, Refused) else ()
    view = ErrorView(
        status=status,
        title=title(refusal.code, translate),
        text=sentence(refusal.code, refusal.values, translate),
        reasons=[sentence(reason.code, reason.values, translate) for reason in reasons],
        back=f"/{language}/search",
    )
    return pen.page("error.html", view, status=status)
