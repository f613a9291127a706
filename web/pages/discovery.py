"""A meter connected by the discovery messages that it sends to Home Assistant: seen first, then made."""

import re
from dataclasses import replace
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from devices.codecs.discovery import import_discovery
from devices.codecs.pasted import read_pasted
from devices.registry import actions as registry
from marketplace.permissions import Action, Actor
from marketplace.refusals import Invalid
from marketplace.tables import Resource
from web.deps import Db, Now, SignedIn
from web.i18n import translator
from web.pages.connect import drawn
from web.pages.desk import own_resource
from web.pages.drawing import Drawing, Fields, text, typed
from web.present import discovery as present
from web.present import meters
from web.reasons import beside
from web.views.discovery import NO_DISCOVERY, DiscoveryView
from web.views.frame import Area, FieldError, Form, Lang

router = APIRouter(prefix="/{lang}/desk/resources")
OWN = {"name": "meter", "measured_by": "main"}
"""Fields that the form above on the page has too, by what they are called here."""
SEPARATORS = re.compile(r"[,;，；、\s]+")


@router.post("/{resource_id}/discovery")
def connect(pen: Drawing, resource_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    """With `step=look` what comes out, else a new meter; its secret is on this answer and nowhere else."""
    place = own_resource(db, actor, resource_id, Action.MANAGE_DEVICES)
    form = Form(typed(fields))
    try:
        family = read_family(fields)
        if text(fields, "step") == "look":
            return _drawn(pen, db, place, actor, now, 200, discovery=present.discovery(import_discovery(family), form))
        with db.begin_nested():
            made, known = registry.register_device(
                db,
                resource_id=place.id,
                name=text(fields, "meter"),
                profile={"family": family},
                measured_by=text(fields, "main") or None,
                actor_id=actor.known_id,
                now=now,
            )
    except Invalid as refusal:
        found = DiscoveryView(form=replace(form, errors=(error(refusal, pen.lang),)))
        return _drawn(pen, db, place, actor, now, 422, discovery=found)
    return drawn(pen, db, made, place, now, status=201, known=known)


def _drawn(
    pen: Drawing,
    db: Session,
    place: Resource,
    actor: Actor,
    now: datetime,
    status: int,
    *,
    discovery: DiscoveryView = NO_DISCOVERY,
) -> Response:
    view = replace(meters.meters(db, place, actor, lang=pen.lang, now=now), discovery=discovery)
    return pen.page("devices.html", view, status=status, area=Area.DESK, zone=place.timezone)


def read_family(fields: Fields) -> dict[str, Any]:
    """Raises: Invalid."""
    take = [name for name in SEPARATORS.split(text(fields, "take")) if name]
    messages = read_pasted(text(fields, "discovery"))
    return {"home_assistant": messages, **({"take": take} if take else {})}


def error(refusal: Invalid, lang: Lang) -> FieldError:
    """At the name or at the messages; of one of these with its number."""
    _ = translator(lang)
    parts = str(refusal.values["field"]).split(".")
    if parts[-1] in OWN:
        return FieldError(OWN[parts[-1]], beside(refusal.values, _))
    number = next((int(part) + 1 for part in parts if part.isdecimal()), 0)
    label = _("Message {number}").format(number=number) if number else _("Discovery messages")
    return FieldError("discovery", beside({**refusal.values, "field": label}, _))
