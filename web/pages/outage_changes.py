"""Outages and absences that were entered and end earlier or are withdrawn: the forms beside each, on both pages."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from fastapi import Response
from sqlalchemy.orm import Session

from booking.tables import Outage
from marketplace.ids import is_operator
from marketplace.permissions import Actor
from marketplace.refusals import Invalid, NotFound, WrongState
from web.outages import end_outage, get_own, withdraw_outage
from web.pages.account import again
from web.pages.drawing import Drawing, Fields, typed
from web.present.outages import until_of
from web.present.turns import errors_of
from web.refusals import status_of
from web.views.frame import Form
from web.wall import find_moment


class Change(StrEnum):
    END = "end"
    WITHDRAW = "withdraw"


@dataclass(frozen=True, slots=True)
class Said:
    """What is to become of which outage, of what, by which wall clock."""

    resource_id: str
    outage_id: str
    step: Change
    zone: str


@dataclass(frozen=True, slots=True)
class Undone:
    """Nothing was changed: the form as it was sent, with why."""

    status: int
    form: Form


def change(
    pen: Drawing,
    fields: Fields,
    db: Session,
    actor: Actor,
    said: Said,
    now: datetime,
) -> Undone | Response:
    """Where to go on, or what is wrong. An end that was not asked for is now. Raises: NotFound, NotAllowed."""
    row = get_own(db, actor, said.outage_id)
    if row.resource_id != said.resource_id:
        raise NotFound(kind="outage")
    form, name = Form(typed(fields)), until_of(row)
    asked = name in form.values
    if asked and (errors := errors_of(form, said.zone, pen.lang, names=(name,))):
        return Undone(422, replace(form, errors=errors))
    end = find_moment(form.values, name, ZoneInfo(said.zone)) if asked else None
    try:
        with db.begin_nested():
            _carry_out(db, actor, row, said.step, end, now)
    except (Invalid, WrongState) as refusal:
        return Undone(status_of(refusal), again(pen, fields, refusal, name if isinstance(refusal, Invalid) else None))
    return pen.go(_page(said.resource_id), "outage_ended" if said.step is Change.END else "outage_withdrawn")


def _carry_out(db: Session, actor: Actor, row: Outage, step: Change, end: datetime | None, now: datetime) -> None:
    """Raises: Invalid, WrongState."""
    if step is Change.END:
        end_outage(db, outage_id=row.id, end=end, actor_id=actor.known_id, now=now)
    else:
        withdraw_outage(db, outage_id=row.id, actor_id=actor.known_id, now=now)


def _page(resource_id: str) -> str:
    return f"/desk/operators/{resource_id}" if is_operator(resource_id) else f"/desk/resources/{resource_id}/outages"
