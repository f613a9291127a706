"""How one meter's messages are read: seen on its last ones, tried with another profile, changed from now on."""

from fastapi import APIRouter, Response

from devices import profile_files
from devices.profile import Profile
from devices.registry import actions as registry
from marketplace.refusals import Invalid
from web.deps import Db, Now, ReadDb, SignedIn
from web.i18n import translator
from web.pages.device import own_device
from web.pages.drawing import Drawing, Fields, text, typed
from web.present import reading
from web.reasons import beside
from web.views.frame import Area, FieldError, Form, Lang

router = APIRouter(prefix="/{lang}/desk/devices")


@router.get("/{device_id}/reading")
def page(pen: Drawing, device_id: str, db: ReadDb, actor: SignedIn, now: Now) -> Response:
    row, place = own_device(db, actor, device_id)
    view = reading.reading(db, row, place, lang=pen.lang, now=now)
    return pen.page("reading.html", view, area=Area.DESK, zone=place.timezone)


@router.post("/{device_id}/reading")
def set_reading(pen: Drawing, device_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    """With `step=look` what the last messages would say; else it holds from now on."""
    row, place = own_device(db, actor, device_id)
    said = str(fields.get("profile") or "")  # as it was typed: lines are counted
    form, other = Form(typed(fields)), Profile()
    try:
        values = profile_files.read_text(said)
        if text(fields, "step") == "look":
            other = registry.changed_profile(db, row.id, values, now=now)
        else:
            with db.begin_nested():
                registry.set_profile(db, device_id=row.id, profile=values, actor_id=actor.known_id, now=now)
            return pen.go(f"/desk/devices/{row.id}/reading", "reading")
    except Invalid as refusal:
        form = Form(typed(fields), [error(profile_files.with_line(refusal, said), pen.lang)])
    view = reading.reading(db, row, place, lang=pen.lang, now=now, form=form, other=None if form.errors else other)
    return pen.page("reading.html", view, status=422 if form.errors else 200, area=Area.DESK, zone=place.timezone)


def error(refusal: Invalid, lang: Lang) -> FieldError:
    """With the line and the name in the profile that it is about."""
    _ = translator(lang)
    names = str(refusal.values["field"]).removeprefix("profile").removeprefix(".").removeprefix("family.").split(".")
    told = [str(int(name) + 1) if name.isdecimal() else name for name in (*names, refusal.values.get("part")) if name]
    line = _("Line {line}").format(line=refusal.values["line"]) if refusal.values.get("line") else ""
    label = " · ".join(one for one in (line, " ".join(told)) if one) or _("Profile (TOML)")
    return FieldError("profile", beside({**refusal.values, "field": label}, _))
