"""Connecting a meter: a kind is chosen, the secret shown once, and one page leads from there to the first confirmed minutes."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy.orm import Session

from devices import queries as devices
from devices.measuring import actions as measuring
from devices.registry import actions as registry
from devices.registry.actions import Credentials
from devices.tables import Device
from marketplace.permissions import Action, Actor
from marketplace.refusals import Invalid, NotFound
from marketplace.settings import Settings
from marketplace.tables import Resource
from web.deps import Db, Now, ReadDb, SignedIn
from web.pages.account import again
from web.pages.desk import own_resource
from web.pages.device import own_device, try_thresholds
from web.pages.drawing import Drawing, Fields, Pen, text, typed
from web.present import connect as present
from web.present import meters
from web.present.connect import Shown
from web.views.frame import Area, Form

router = APIRouter(prefix="/{lang}/desk")
Looks = Annotated[int, Query(ge=0, le=10**6)]
BEGINS = {"idle": measuring.begin_idle, "run": measuring.begin_run}


@router.get("/resources/{resource_id}/devices")
def devices_page(pen: Drawing, resource_id: str, db: ReadDb, actor: SignedIn, now: Now) -> Response:
    row = own_resource(db, actor, resource_id, Action.MANAGE_DEVICES)
    return pen.page("devices.html", meters.meters(db, row, actor, lang=pen.lang, now=now), area=Area.DESK, zone=row.timezone)


@router.post("/resources/{resource_id}/devices")
def register(pen: Drawing, resource_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    """A new meter; its secret is on this answer and nowhere else."""
    row = own_resource(db, actor, resource_id, Action.MANAGE_DEVICES)
    family = text(fields, "family", "tasmota")
    try:
        with db.begin_nested():
            made, known = registry.register_device(
                db,
                resource_id=row.id,
                name=text(fields, "name"),
                profile={"family": family},
                measured_by=text(fields, "measured_by") or None,
                actor_id=actor.known_id,
                now=now,
            )
    except Invalid as refusal:
        form = again(pen, fields, refusal, None if refusal.values.get("field") in ("name", "measured_by") else "family")
        view = meters.meters(db, row, actor, lang=pen.lang, now=now, form=form)
        return pen.page("devices.html", view, status=422, area=Area.DESK, zone=row.timezone)
    return drawn(pen, db, made, row, now, status=201, known=known)


@router.get("/devices/{device_id}/connect")
def page(pen: Drawing, device_id: str, db: ReadDb, actor: SignedIn, now: Now, looks: Looks = 0) -> Response:
    row, place = own_device(db, actor, device_id)
    return drawn(pen, db, row, place, now, shown=Shown(looks=looks if pen.partial else 0))


@router.post("/devices/{device_id}/connect")
def step(pen: Drawing, device_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    """One of secret (a new one, on this answer and nowhere else), kind, idle, run (a half begins), look, save."""
    row, place = own_device(db, actor, device_id)
    asked = text(fields, "step")
    if asked == "secret":
        return drawn(pen, db, row, place, now, known=registry.new_secret(db, device_id=row.id, actor_id=actor.known_id, now=now))
    if asked in ("look", "save"):
        return _thresholds(pen, db, row, place, fields, actor, now)
    if asked == "kind" and text(fields, "family") in meters.FAMILIES:
        registry.set_profile(db, device_id=row.id, profile={"family": text(fields, "family")}, actor_id=actor.known_id, now=now)
        return pen.go(f"/desk/devices/{row.id}/connect", "reading")
    if asked not in BEGINS:
        raise NotFound(kind="page")
    BEGINS[asked](db, device_id=row.id, now=now)
    return pen.go(f"/desk/devices/{row.id}/connect#measure")


def _thresholds(pen: Pen, db: Session, row: Device, place: Resource, fields: Fields, actor: Actor, now: datetime) -> Response:
    """What they would change, or from now on in force."""
    errors, foreseen = try_thresholds(db, row, fields, pen.lang, actor, now, save=measuring.save, names=present.FIELDS)
    if errors or foreseen:
        return drawn(pen, db, row, place, now, shown=Shown(Form(typed(fields), errors), foreseen))
    return pen.go(f"/desk/devices/{row.id}/connect#done", "thresholds")


def drawn(
    pen: Pen, db: Session, row: Device, place: Resource, now: datetime, *, status: int = 200, known: Credentials | None = None,
    shown: Shown | None = None,
) -> Response:  # fmt: skip
    """The page, or of it what changes by itself; with the secret where it has just been made."""
    settings: Settings = pen.request.app.state.settings
    profile = devices.profile_of(db, row.id, at=now)
    setup = meters.setup(row, known, profile, settings.mqtt_host, settings.mqtt_port)
    view = present.connect(
        db, row, place, setup=setup, base_url=settings.base_url, lang=pen.lang, now=now, shown=shown or Shown()
    )  # fmt: skip
    wrong = shown and shown.form and shown.form.errors
    template = "_connect.html" if pen.partial else "connect.html"
    return pen.page(template, view, status=422 if wrong else status, area=Area.DESK, zone=place.timezone)
