"""One meter: when its machine counts as running, its secret, whether it may speak."""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from math import isfinite

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from devices import queries as devices
from devices import what_if
from devices.certificates import read_authority
from devices.registry import actions as registry
from devices.tables import Device
from marketplace.permissions import Action, Actor
from marketplace.refusals import Invalid
from marketplace.settings import Settings
from marketplace.tables import Resource
from web.api.access import beside_of
from web.deps import Configured, Db, Now, ReadDb, SignedIn
from web.i18n import translator
from web.pages.desk import own_resource
from web.pages.drawing import Drawing, Fields, text, typed
from web.present import device
from web.present.meters import setup
from web.reasons import beside
from web.views.device import NewCertificate, WhatIf
from web.views.frame import Area, FieldError, Form, Lang
from web.views.setup import Setup

router = APIRouter(prefix="/{lang}/desk/devices")


OVERLAPS: Mapping[str, timedelta] = {f"{hours}h": timedelta(hours=hours) for hours in (1, 24, 168)}
"""What the page offers; anything else is none."""


def own_device(db: Session, actor: Actor, device_id: str) -> tuple[Device, Resource]:
    """Raises: NotFound, NotAllowed."""
    row = devices.get_device(db, device_id)
    return row, own_resource(db, actor, row.resource_id, Action.MANAGE_DEVICES)


def drawn(
    pen: Drawing,
    db: Session,
    row: Device,
    place: Resource,
    now: datetime,
    *,
    form: Form | None = None,
    secret: Setup | None = None,
    foreseen: WhatIf | None = None,
    new: NewCertificate | None = None,
) -> Response:
    settings: Settings = pen.request.app.state.settings
    certificates = device.certificates(db, row, now=now, new=new) if settings.mqtt_certificate_port else None
    view = device.device(
        db,
        row,
        place,
        pen.actor,
        lang=pen.lang,
        now=now,
        beside=beside_of(settings),
        secret=secret,
        certificates=certificates,
        form=form,
        foreseen=foreseen,
    )
    return pen.page("device.html", view, status=422 if form and form.errors else 200, area=Area.DESK, zone=place.timezone)


@router.get("/{device_id}")
def page(pen: Drawing, device_id: str, db: ReadDb, actor: SignedIn, now: Now) -> Response:
    row, place = own_device(db, actor, device_id)
    return drawn(pen, db, row, place, now)


@router.post("/{device_id}/thresholds")
def set_thresholds(pen: Drawing, device_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    row, place = own_device(db, actor, device_id)
    errors, foreseen = try_thresholds(db, row, fields, pen.lang, actor, now, save=registry.set_thresholds)
    if errors or foreseen:
        return drawn(pen, db, row, place, now, form=Form(typed(fields), errors), foreseen=foreseen)
    return pen.go(f"/desk/devices/{row.id}", "thresholds")


def try_thresholds(
    db: Session,
    row: Device,
    fields: Fields,
    lang: Lang,
    actor: Actor,
    now: datetime,
    *,
    save: Callable[..., object],
    names: Sequence[str] = (*device.POWERS, *device.SPANS),
) -> tuple[list[FieldError], WhatIf | None]:
    """Save what was typed, or for the step `look` what it would change; what is wrong with it, and nothing was saved."""
    values, errors = read_thresholds(fields, lang, names)
    if errors:
        return errors, None
    try:
        if text(fields, "step") == "look":
            profile = registry.changed_profile(db, row.id, values, now=now)
            return [], device.what_if(what_if.foresee(db, row, profile, now=now))
        with db.begin_nested():
            save(db, device_id=row.id, profile=values, actor_id=actor.known_id, now=now)
    except Invalid as refusal:
        return [threshold_error(refusal, lang)], None
    return [], None


def read_thresholds(fields: Fields, lang: Lang, names: Sequence[str]) -> tuple[dict[str, float | None], list[FieldError]]:
    """Watts and seconds as numbers; only the rated power may be empty."""
    _ = translator(lang)
    values: dict[str, float | None] = {}
    errors = []
    for name in names:
        said = text(fields, name)
        values[name] = read_number(said)
        if values[name] is None and (said or name != "rated_w"):
            errors.append(FieldError(name, _("Write a number from 0, such as 120. The thresholds in force stay until then.")))
    return values, errors


def read_number(typed_text: str) -> float | None:
    """A finite number from 0 in plain or full-width digits; None for anything else.

    >>> [read_number(text) for text in ("1,200.5", "１２０", "-3", "nan", "1e3", "")]
    [1200.5, 120.0, None, None, None, None]
    """
    plain = unicodedata.normalize("NFKC", typed_text).replace(",", "").strip()
    if not plain.isascii() or not plain.replace(".", "", 1).isdigit():
        return None
    value = float(plain)
    return value if isfinite(value) else None


def threshold_error(refusal: Invalid, lang: Lang) -> FieldError:
    """What the thresholds' own rules say, at the field."""
    _ = translator(lang)
    name = str(refusal.values["field"]).removeprefix("profile.")
    if name == "p_off":
        return FieldError(name, _("It must lie below the power from which the machine runs. Lower it, or raise the other."))
    return FieldError(name, _("This number is too large. The thresholds in force stay until it is corrected."))


@router.post("/{device_id}/main-meter")
def set_main(pen: Drawing, device_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    row, place = own_device(db, actor, device_id)
    main = text(fields, "measured_by")
    try:
        with db.begin_nested():
            registry.set_main(db, device_id=row.id, measured_by=main or None, actor_id=actor.known_id, now=now)
    except Invalid as refusal:
        values = device.as_fields(devices.profile_of(db, row.id, at=now))
        wrong = FieldError("measured_by", beside(refusal.values, translator(pen.lang)))
        return drawn(pen, db, row, place, now, form=Form({**values, "measured_by": main}, [wrong]))
    return pen.go(f"/desk/devices/{row.id}", "main_meter")


@router.post("/{device_id}/renew")
def renew(pen: Drawing, device_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now, settings: Configured) -> Response:
    """A new secret, on this answer and nowhere else; a revoked device may speak again with it."""
    row, place = own_device(db, actor, device_id)
    overlap = OVERLAPS.get(text(fields, "overlap"), registry.AT_ONCE)
    how = beside_of(settings)
    known = registry.new_secret(db, device_id=row.id, overlap=overlap, beside=how, actor_id=actor.known_id, now=now)
    profile = devices.profile_of(db, row.id, at=now)
    return drawn(pen, db, row, place, now, secret=setup(row, known, profile, settings.mqtt_host, settings.mqtt_port))


@router.post("/{device_id}/revoke")
def revoke(pen: Drawing, device_id: str, _fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    row, _ = own_device(db, actor, device_id)
    registry.revoke(db, device_id=row.id, actor_id=actor.known_id, now=now)
    return pen.go(f"/desk/devices/{row.id}", "revoked")


@router.post("/{device_id}/certificates")
def issue(pen: Drawing, device_id: str, _fields: Fields, db: Db, actor: SignedIn, now: Now, settings: Configured) -> Response:
    """One more certificate, its key on this answer and nowhere else."""
    row, place = own_device(db, actor, device_id)
    authority = read_authority(settings.data_dir, now=now)
    made = registry.new_certificate(db, authority, device_id=row.id, actor_id=actor.known_id, now=now)
    family = devices.profile_of(db, row.id, at=now).family
    at = (settings.mqtt_host, settings.mqtt_certificate_port)
    return drawn(pen, db, row, place, now, new=device.new_certificate(row, made, authority.pem, family, *at))


@router.post("/{device_id}/certificates/{serial}/revoke")
def take_back(pen: Drawing, device_id: str, serial: str, _fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    row, _ = own_device(db, actor, device_id)
    registry.revoke_certificate(db, device_id=row.id, serial=serial, actor_id=actor.known_id, now=now)
    return pen.go(f"/desk/devices/{row.id}", "certificate_revoked")
