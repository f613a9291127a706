"""What every page route does: who asks in which language, draw a view, go on after a form."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlsplit

from babel import Locale, UnknownLocaleError
from fastapi import Depends, Path, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlalchemy.orm import Session
from starlette.datastructures import FormData, UploadFile
from starlette.routing import Match

from marketplace.inbox import queries as inbox
from marketplace.permissions import Action, Actor, may
from marketplace.refusals import Invalid
from marketplace.weeks import queries as weeks
from web import papers
from web.deps import AnyActor
from web.render import render
from web.security import CSRF_COOKIE, ForgedRequest, check_origin, check_token, new_token
from web.views.frame import Area, Frame, Lang, Theme
from web.wall import is_near

Language = Annotated[Literal["zh", "en"], Path()]
THEME_COOKIE = "pb_theme"
MOST_FIELDS = 400
MOST_LANGUAGES = 10
"""Of a browser's wishes that are looked at."""


def count_unread(request: Request, actor: AnyActor) -> int:
    """The number beside one's name; a part of a page does not show it."""
    if actor.person_id is None or request.headers.get("hx-request") == "true":
        return 0
    with request.app.state.readers() as session:
        return inbox.count_unread(session, actor.person_id)


Unread = Annotated[int, Depends(count_unread, scope="function")]


class Pen:
    """Draws pages for one request. A route takes it as `pen: Drawing`."""

    def __init__(self, request: Request, lang: Language, actor: AnyActor, unread: Unread) -> None:
        self.request, self.actor, self.lang = request, actor, Lang(lang)
        self._unread = unread
        self._known = request.cookies.get(CSRF_COOKIE, "")
        self.csrf = self._known or new_token()

    @property
    def partial(self) -> bool:
        """Whether only a part of the page is wanted (htmx)."""
        return self.request.headers.get("hx-request") == "true"

    def first_weekday(self, session: Session) -> int:
        """With which day (0 = Monday) this reader's weeks begin: as chosen, else as in the region of their browser."""
        chosen = weeks.find_first_day(session, self.actor.person_id) if self.actor.person_id else None
        return chosen.weekday if chosen else first_weekday_of(self.request.headers.get("accept-language", ""), self.lang)

    def page(
        self,
        template: str,
        view: Any,
        *,
        status: int = 200,
        area: Area | None = None,
        zone: str = "Asia/Shanghai",
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """The drawn page; it varies by cookie and by who asks for a part."""
        frame = self._frame(area, zone)
        vary = {"vary": "HX-Request, Cookie", "cache-control": "no-store" if self.actor.person_id else "no-cache"}
        response = HTMLResponse(render(frame, template, view), status, headers={**vary, **(headers or {})})
        return self.with_token(response)

    def paper(self, template: str, view: Any, *, name: str) -> Response:
        """The same as a PDF, kept as `name`. Raises: Busy, NoPaper."""
        made = papers.pdf(render(self._frame(None, view.zone), template, view))
        headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
        return Response(made, media_type="application/pdf", headers=headers)

    def _frame(self, area: Area | None, zone: str) -> Frame:
        path = page_of(self.request)
        return Frame(
            lang=self.lang,
            path=path.removeprefix(f"/{self.lang.value}") or "/",
            query=self.request.url.query if path == self.request.url.path else "",
            csrf=self.csrf,
            theme=theme_of(self.request),
            person=self.actor.name if self.actor.person_id else None,
            unread=self._unread,
            areas=areas_of(self.actor),
            current=area,
            zone=zone,
            done=self.request.query_params.get("done"),
        )

    def with_token(self, response: Response) -> Response:
        """Give the browser the token its forms repeat, if it has none."""
        if not self._known:
            secure = self.request.app.state.settings.secure_cookies
            response.set_cookie(CSRF_COOKIE, self.csrf, httponly=True, samesite="lax", secure=secure)
        return response

    def go(self, path: str, done: str | None = None) -> Response:
        """303 to a page of ours in the same language; `done` names what was achieved."""
        mark = f"{'&' if '?' in path else '?'}done={quote(done)}" if done else ""
        base, hash_, anchor = path.partition("#")
        return RedirectResponse(f"/{self.lang.value}{base}{mark}{hash_}{anchor}", 303)


def page_of(request: Request) -> str:
    """Where language and appearance are switched: the page; of what answers a form the nearest above it that can be read."""
    path = request.url.path
    while request.method == "POST" and path.count("/") > 1 and not _can_be_read(request, path):
        path = path.rpartition("/")[0]
    return path


def _can_be_read(request: Request, path: str) -> bool:
    asked = {"type": "http", "method": "GET", "path": path, "root_path": ""}
    return any(route.matches(asked)[0] is Match.FULL for route in request.app.router.routes)


def theme_of(request: Request) -> Theme:
    found = request.cookies.get(THEME_COOKIE, "auto")
    return Theme(found) if found in set(Theme) else Theme.AUTO


def first_weekday_of(accepted: str, lang: Lang) -> int:
    """The first day (0 = Monday) of the region that the browser names for the page's language; Monday where it names none.

    >>> first_weekday_of("en-US,en;q=0.9", Lang.EN), first_weekday_of("en-GB,en", Lang.EN), first_weekday_of("en-US,en", Lang.ZH)
    (6, 0, 0)
    """
    for entry in accepted.split(",")[:MOST_LANGUAGES]:
        tag = entry.split(";")[0].strip()
        try:
            found = Locale.parse(tag, sep="-")
        except (ValueError, TypeError, UnknownLocaleError):
            continue
        if found.language == lang.value and found.territory:
            return int(found.first_week_day)
    return 0


def areas_of(actor: Actor) -> tuple[Area, ...]:
    """What the navigation offers: everybody searches; the rest goes by role."""
    if actor.person_id is None:
        return (Area.SEARCH,)
    found = [Area.SEARCH, Area.BOOKINGS]
    if actor.institutions() or actor.is_operator:
        found.append(Area.DESK)
    if any(may(actor, Action.SEE_EVALUATION, institution_id=one) for one in (None, *actor.institutions())):
        found.append(Area.EVALUATION)
    if actor.is_operator:
        found.append(Area.OPERATOR)
    return tuple(found)


async def read_form(request: Request) -> FormData:
    """The fields of a form that our own page sent. Raises: ForgedRequest, Invalid."""
    return await _read(request, files=0)


async def read_upload(request: Request) -> "Upload":
    """The same with a file. Raises: ForgedRequest, Invalid."""
    form = await _read(request, files=1)
    sent = next((value for value in form.values() if isinstance(value, UploadFile)), None)
    file = await sent.read() if sent else b""
    await form.close()
    return Upload(form, file)


async def _read(request: Request, *, files: int) -> FormData:
    check_origin(request)
    form = await request.form(max_files=files, max_fields=MOST_FIELDS)
    token = form.get("csrf")
    try:
        check_token(request, token if isinstance(token, str) else request.headers.get("x-csrf-token", ""))
    except ForgedRequest:
        await form.close()
        raise
    return form


@dataclass(frozen=True, slots=True)
class Upload:
    """A form with the file that came along, empty where none was chosen."""

    fields: FormData
    file: bytes


Drawing = Annotated[Pen, Depends(Pen)]
Fields = Annotated[FormData, Depends(read_form)]
FieldsAndFile = Annotated[Upload, Depends(read_upload)]


def text(fields: FormData, name: str, fallback: str = "") -> str:
    """A field as typed, trimmed."""
    value = fields.get(name)
    return value.strip() if isinstance(value, str) else fallback


def number(fields: FormData, name: str, fallback: int | None = None) -> int:
    """A whole number. Raises: Invalid, naming the field."""
    value = text(fields, name)
    if not value and fallback is not None:
        return fallback
    if not value.isascii() or not value.isdigit() or len(value) > 12:
        raise Invalid(field=name, reason="a whole number is needed")
    return int(value)


def instant(name: str, value: str) -> datetime:
    """An instant of an address or a field, UTC to the minute. Raises: Invalid."""
    try:
        found = datetime.fromisoformat(value)
    except ValueError as error:
        raise Invalid(field=name, reason="not a time") from error
    if found.tzinfo is None:
        raise Invalid(field=name, reason="a time without offset")
    if not is_near(found):
        raise Invalid(field=name, reason="not a time")
    return found


def typed(fields: FormData) -> dict[str, str]:
    """Everything as it was typed, secrets left out, for showing the form again."""
    hidden = {"csrf", "password", "new_password"}
    return {name: value for name, value in fields.items() if isinstance(value, str) and name not in hidden}


def own_path(target: str, fallback: str) -> str:
    """`target` if it is a path of ours, else `fallback`: never another site."""
    parts = urlsplit(target)
    safe = target.startswith("/") and not target.startswith("//") and not parts.scheme and not parts.netloc
    return target if safe and "\\" not in target else fallback
