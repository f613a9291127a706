"""Retiring a listing, after seeing what lies ahead of it."""

from dataclasses import replace

from fastapi import APIRouter, Response

from marketplace.permissions import Action
from marketplace.refusals import WrongState
from web import retiring
from web.deps import Db, Now, SignedIn
from web.outages import PlanRefused, propose
from web.pages.account import again
from web.pages.desk import own_resource
from web.pages.drawing import Drawing, Fields, text
from web.pages.outages import chosen, decided
from web.present import desk, outages
from web.retiring import LiesAhead, ahead_of, for_good
from web.views.frame import Area, Form

router = APIRouter(prefix="/{lang}/desk/resources/{resource_id}/retire")


@router.post("")
def retire(pen: Drawing, resource_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    place = own_resource(db, actor, resource_id, Action.LIST_RESOURCES)
    met = propose(db, actor=actor, resource_id=place.id, slot=for_good(now), now=now)
    plan = chosen(text(fields, "plan"), met) if decided(fields, met) else None
    try:
        with db.begin_nested():
            retiring.retire(db, actor=actor, resource_id=place.id, plan=plan, now=now)
    except (LiesAhead, PlanRefused) as refusal:
        view = outages.retirement(db, place, met, ahead_of(db, place.id, now), lang=pen.lang, now=now)
        if isinstance(refusal, PlanRefused):
            view = replace(view, form=Form(errors=outages.refused(db, refusal, zone=place.timezone, lang=pen.lang)))
        return pen.page("retire.html", view, status=409, area=Area.DESK, zone=place.timezone)
    except WrongState as refusal:
        machine = desk.machine(db, place, actor, lang=pen.lang, now=now, form=again(pen, fields, refusal))
        return pen.page("machine.html", machine, status=409, area=Area.DESK)
    return pen.go(f"/desk/resources/{place.id}", "retired")
