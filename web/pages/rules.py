"""The editor of all rules of a resource: what a change would have done is shown before it is saved."""

import hashlib
from dataclasses import dataclass

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from booking import queries as booking
from booking.lines import actions as lines
from booking.places import as_rules, get_place
from booking.rules import actions
from booking.rules.actions import Further, RuleSet
from booking.rules.lookback import effect
from booking.tables import RuleVersion
from marketplace.permissions import Action
from marketplace.refusals import Invalid, Refusal, Stale
from marketplace.tables import Resource
from web.deps import Db, Now, ReadDb, SignedIn
from web.pages.account import again
from web.pages.desk import own_resource
from web.pages.drawing import Drawing, Fields, number, text, typed
from web.pages.rules_form import read_further, read_parts, read_rules
from web.present import opening, rules, week
from web.refusals import status_of
from web.views.frame import Area, Form

router = APIRouter(prefix="/{lang}/desk/resources/{resource_id}/rules")


@dataclass(frozen=True, slots=True)
class Asked:
    """All that one form says."""

    rules: RuleSet
    further: Further
    parts: list[str]

    @property
    def token(self) -> str:
        """Changes with anything of it."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:32]


@router.get("")
def page(pen: Drawing, resource_id: str, db: ReadDb, actor: SignedIn, now: Now) -> Response:
    row = own_resource(db, actor, resource_id, Action.REVIEW_USE)
    return pen.page("rules.html", rules.editor(db, row, actor, pen.lang, now=now), area=Area.DESK, zone=row.timezone)


@router.post("")
def edit(pen: Drawing, resource_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    """The first time it shows the effect; sent back unchanged with that, it is saved."""
    row = own_resource(db, actor, resource_id, Action.LIST_RESOURCES)
    version = booking.rules_of(db, row.id)
    try:
        if number(fields, "number", version.number) != version.number:
            raise Stale(version=version.number)
        asked = read(db, row, version, fields)
        actions.check_rules(db, institution_id=row.institution_id, rules=asked.rules, further=asked.further)
        if text(fields, "seen") == asked.token and not text(fields, "look"):
            with db.begin_nested():
                _save(db, row, asked, actor.known_id, now)
            return pen.go(f"/desk/resources/{row.id}/rules", "rules")
    except (Invalid, Stale, opening.WrongHours) as refusal:
        return _again(pen, db, row, fields, refusal, now)
    judged = as_rules(actions.version_of(asked.rules, asked.further))
    found = effect(db, get_place(db, row.id), judged, now=now)
    view = rules.editor(db, row, pen.actor, pen.lang, now=now, form=Form(typed(fields)), effect=found, seen=asked.token)
    return pen.page("rules.html", view, area=Area.DESK, zone=row.timezone)


def read(db: Session, row: Resource, version: RuleVersion, fields: Fields) -> Asked:
    """Raises: Invalid, WrongHours."""
    return Asked(read_rules(version, fields), read_further(db, row, version, fields), read_parts(db, row, fields))


def _save(db: Session, row: Resource, asked: Asked, actor_id: str, now: Now) -> None:
    actions.set_rules(db, resource_id=row.id, rules=asked.rules, further=asked.further, actor_id=actor_id, now=now)
    lines.share(db, resource_id=row.id, part_ids=asked.parts, actor_id=actor_id, now=now)


def _again(pen: Drawing, db: Session, row: Resource, fields: Fields, refusal: Refusal, now: Now) -> Response:
    """The form as typed, with what is wrong about it."""
    if isinstance(refusal, opening.WrongHours):
        form = Form(typed(fields), week.errors(refusal, pen.lang))
    else:
        form = again(pen, fields, refusal)
    view = rules.editor(db, row, pen.actor, pen.lang, now=now, form=form)
    return pen.page("rules.html", view, status=status_of(refusal) if isinstance(refusal, Stale) else 422, area=Area.DESK)
