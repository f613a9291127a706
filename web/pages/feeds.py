"""Calendars behind secret addresses, and the pages on which such an address is made and renewed."""

import hashlib

from fastapi import APIRouter, Request, Response

from marketplace.feeds import actions, queries
from marketplace.permissions import Action
from web.deps import Configured, Db, Now, ReadDb, SignedIn
from web.pages.desk import own_resource
from web.pages.drawing import Drawing, Fields
from web.present import feeds
from web.views.frame import Area, Lang

root = APIRouter()
router = APIRouter(prefix="/{lang}")


@root.head("/calendar/{secret}.ics", include_in_schema=False)
@root.get("/calendar/{secret}.ics")
def read(secret: str, request: Request, db: ReadDb, now: Now, settings: Configured, lang: Lang = Lang.ZH) -> Response:
    """Nobody signs in here: whoever has the address may read. Unchanged, it is not sent again."""
    feed = queries.get_feed(db, secret)
    content = feeds.written(db, feed, lang=lang, base_url=settings.base_url, now=now)
    tag = f'W/"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"etag": tag, "cache-control": "private, no-cache", "x-robots-tag": "noindex"}
    if is_known(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="text/calendar; charset=utf-8", headers=headers)


def is_known(header: str, tag: str) -> bool:
    """Whether an If-None-Match names `tag` by weak comparison (RFC 9110, 13.1.2).

    >>> is_known('"a", W/"b"', 'W/"b"'), is_known('"b"', 'W/"b"'), is_known("*", 'W/"b"'), is_known("", 'W/"b"')
    (True, True, True, False)
    """
    named = {one.strip().removeprefix("W/") for one in header.split(",")}
    return "*" in named or tag.removeprefix("W/") in named


@router.get("/account/calendar")
def own_page(pen: Drawing, db: ReadDb, actor: SignedIn) -> Response:
    view = feeds.view(queries.find_feed_of_person(db, actor.known_id), place=None, lang=pen.lang)
    return pen.page("feed.html", view, area=Area.ACCOUNT)


@router.post("/account/calendar")
def renew_own(pen: Drawing, _fields: Fields, db: Db, actor: SignedIn, now: Now, settings: Configured) -> Response:
    secret = actions.renew_for_person(db, person_id=actor.known_id, now=now)
    link = address(settings.base_url, secret)
    view = feeds.view(queries.find_feed_of_person(db, actor.known_id), place=None, lang=pen.lang, link=link)
    return pen.page("feed.html", view, status=201, area=Area.ACCOUNT)


@router.get("/desk/resources/{resource_id}/calendar")
def resource_page(pen: Drawing, resource_id: str, db: ReadDb, actor: SignedIn) -> Response:
    place = own_resource(db, actor, resource_id, Action.MANAGE_OUTAGES)
    view = feeds.view(queries.find_feed_of_resource(db, place.id), place=place, lang=pen.lang)
    return pen.page("feed.html", view, area=Area.DESK, zone=place.timezone)


@router.post("/desk/resources/{resource_id}/calendar")
def renew_resource(
    pen: Drawing, resource_id: str, _fields: Fields, db: Db, actor: SignedIn, now: Now, settings: Configured
) -> Response:
    place = own_resource(db, actor, resource_id, Action.MANAGE_OUTAGES)
    secret = actions.renew_for_resource(db, resource=place, actor_id=actor.known_id, now=now)
    link = f"{address(settings.base_url, secret)}?lang={pen.lang.value}"
    view = feeds.view(queries.find_feed_of_resource(db, place.id), place=place, lang=pen.lang, link=link)
    return pen.page("feed.html", view, status=201, area=Area.DESK, zone=place.timezone)


def address(base_url: str, secret: str) -> str:
    return f"{base_url.rstrip('/')}/calendar/{secret}.ics"
