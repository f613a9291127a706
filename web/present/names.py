"""Names in the reader's language and the live state as pages show it."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from booking import queries as booking
from booking.tables import Booking
from devices.codecs.families import FAMILIES, MAPPING
from devices.live import queries as sensing
from devices.live.queries import Live as State
from marketplace.people import queries as people
from marketplace.slot import Slot
from marketplace.tables import Institution, Resource
from web.i18n import translator
from web.views.frame import Badge, Lang, Live

MOST_WATCHED = 60
"""That one stream of a page watches."""


def name_of(row: Resource | Institution, lang: Lang) -> str:
    """English pages fall back to Chinese, never to nothing."""
    return row.name_en if lang is Lang.EN and row.name_en else row.name


def foreign_of(row: Resource, lang: Lang) -> str | None:
    """The language the name is in where the page's has none."""
    return Lang.ZH.value if lang is Lang.EN and not row.name_en else None


def summary_of(row: Resource, lang: Lang) -> str | None:
    return row.summary_en if lang is Lang.EN and row.summary_en else row.summary


def tags_of(row: Resource, lang: Lang) -> list[str]:
    return [tag.get(lang.value) or next(iter(tag.values()), "") for tag in row.tags]


def family_in_words(family: str, lang: Lang) -> str:
    """What a device speaks."""
    if family == MAPPING:
        _ = translator(lang)
        return _("Own mapping")
    return FAMILIES[family].title if family in FAMILIES else family


def institution_names(session: Session, ids: Collection[str], lang: Lang) -> dict[str, str]:
    return {row.id: name_of(row, lang) for row in people.institutions(session, ids)}


def live_of(session: Session, resource_ids: Collection[str], *, now: datetime) -> dict[str, Live]:
    """The live state of each, with when it ends: the present booking, or the free time until the next one."""
    states = sensing.live_states(session, resource_ids, now=now)
    running = booking.current_bookings(session, resource_ids, now=now)
    soon = booking.next_claims(session, resource_ids, within=Slot(now, now + timedelta(days=1)))
    return {key: _live(key, state, running, soon) for key, state in states.items()}


def badge(session: Session, row: Resource, lang: Lang, *, now: datetime) -> Badge:
    return Badge(row.id, live_of(session, [row.id], now=now)[row.id], row.timezone, live_url([row.id], lang))


def watched(ids: Iterable[str]) -> list[str]:
    """Each once, in the order given, and as many as one stream watches."""
    return list(dict.fromkeys(ids))[:MOST_WATCHED]


def live_url(resource_ids: Iterable[str], lang: Lang) -> str:
    """Of the stream that keeps them true, as many as one may watch; empty where there is nothing to watch."""
    asked = watched(resource_ids)
    return f"/{lang.value}/live?ids={','.join(asked)}" if asked else ""


def meters_url(device_ids: Iterable[str], lang: Lang) -> str:
    """The same of single meters, each by itself."""
    asked = watched(device_ids)
    return f"/{lang.value}/live?meters={','.join(asked)}" if asked else ""


def _live(key: str, found: sensing.LiveState, running: Mapping[str, Booking], soon: Mapping[str, datetime]) -> Live:
    until = None
    if found.state is State.IN_USE and key in running:
        until = running[key].ends_at
    elif found.state is State.FREE:
        until = soon.get(key)
    return Live(found.state.value, until, found.since, found.power_w)
