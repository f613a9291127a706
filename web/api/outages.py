"""Outages over JSON: what one would do to the bookings in its way, and recording it with a step for each."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from booking.outages import actions as outages
from booking.outages.plans import Proposal, Step
from booking.outages.queries import outages_to_come
from booking.tables import Booking, Outage
from marketplace.catalogue import queries as catalogue
from marketplace.permissions import Action, Actor, may, require
from marketplace.refusals import Invalid
from marketplace.slot import Slot
from web.api import shapes
from web.api.bookings import read_slot
from web.deps import AnyActor, Db, Now, OneAnswer, ReadDb, SignedIn
from web.outages import PlannedOutage, end_outage, get_own, propose, record_outage, withdraw_outage

router = APIRouter(prefix="/api/v1", tags=["booking"])


class EndIn(shapes.Shape):
    """Without `end` it is over now."""

    end: shapes.Instant | None = None


@router.get("/resources/{resource_id}/outages")
def to_come(resource_id: str, db: ReadDb, actor: AnyActor, now: Now, page: shapes.Page) -> dict[str, Any]:
    """Those that are on and to come: when, for whoever sees its free time; which, why and by whom for its staff."""
    resource = catalogue.get_visible(db, actor, resource_id)
    staff = may(actor, Action.REVIEW_USE, institution_id=resource.institution_id)
    rows = outages_to_come(db, resource_id, now=now, **page.asked)
    return page.listed(rows, shape if staff else lambda row: shapes.slot(row.slot))


@router.post("/outages/{outage_id}/end")
def end(outage_id: str, once: OneAnswer, db: Db, actor: SignedIn, now: Now, body: EndIn | None = None) -> Response:
    """It is over, or will be earlier than was thought: an operator's absence too. What is past stays as it was."""
    get_own(db, actor, outage_id)
    at = body.end if body else None
    return once.answer(200, lambda: shape(end_outage(db, outage_id=outage_id, end=at, actor_id=actor.known_id, now=now)))


@router.post("/outages/{outage_id}/withdraw")
def withdraw(outage_id: str, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    """Take back one that has not begun: it is gone, and its time is free."""

    def make() -> dict[str, Any]:
        told = shape(get_own(db, actor, outage_id))
        withdraw_outage(db, outage_id=outage_id, actor_id=actor.known_id, now=now)
        return told

    return once.answer(200, make)


def shape(row: Outage) -> dict[str, Any]:
    """As the staff see it."""
    return {
        "id": row.id,
        "resource_id": row.resource_id,
        **shapes.slot(row.slot),
        "planned": row.planned,
        "reason": row.reason,
        "recorded_at": shapes.instant(row.recorded_at),
        "recorded_by": row.recorded_by,
        "ended_at": shapes.instant(row.ended_at),
    }


@router.post("/resources/{resource_id}/outages", status_code=201)
def outage(
    resource_id: str, body: shapes.OutageIn, once: OneAnswer, db: Db, actor: SignedIn, now: Now, *, dry_run: bool = False
) -> Response:
    """Take it out of use, with a step for each booking in the way; a dry run tells the mildest ones and stores nothing."""
    resource = catalogue.get_visible(db, actor, resource_id)
    require(actor, Action.MANAGE_OUTAGES, institution_id=resource.institution_id)
    wanted = PlannedOutage(read_slot(body.start, body.end), body.planned, body.reason)
    if dry_run:
        plan = read_plan(db, actor, resource_id, wanted.slot, "proposed" if body.plan is None else body.plan, now)
        return once.answer(200, lambda: {"affected": [step_told(one) for one in plan]})

    def make() -> dict[str, Any]:
        plan = read_plan(db, actor, resource_id, wanted.slot, "keep" if body.plan is None else body.plan, now)
        told = [step_told(one) for one in plan]
        made = record_outage(db, actor=actor, resource_id=resource_id, outage=wanted, plan=plan, now=now)
        facts = {"planned": made.planned, "reason": made.reason}
        return {"id": made.id, **shapes.slot(wanted.slot), **facts, "affected": told}

    return once.answer(201, make)


def read_plan(
    db: Session,
    actor: Actor,
    resource_id: str,
    slot: Slot,
    plan: str | Sequence[shapes.PlanIn | shapes.ProposedIn],
    now: datetime,
) -> list[Proposal]:
    """A step for every booking in the way: the same for all, as proposed, or as given, where an empty list says that none is.

    Raises: Invalid.
    """
    if plan == "proposed":
        return propose(db, actor=actor, resource_id=resource_id, slot=slot, now=now)
    met = {row.id: row for row in outages.affected_by(db, resource_id=resource_id, slot=slot)}
    if isinstance(plan, str):
        begun = {row.id for row in met.values() if row.starts_at <= now}
        return [Proposal(row, Step.KEEP if row.id in begun else Step(plan)) for row in met.values()]
    if {one.booking_id for one in plan} != set(met) or len(plan) != len(met):
        raise Invalid(field="plan", reason="must name each booking that lies in this time once")
    return [_step(met[one.booking_id], one.proposal if isinstance(one, shapes.ProposedIn) else one) for one in plan]


def _step(row: Booking, wanted: shapes.StepIn) -> Proposal:
    moved = read_slot(wanted.start, wanted.end, "plan") if wanted.start and wanted.end else None
    if wanted.action == "shift" and moved is None:
        raise Invalid(field="plan", reason="a shift needs start and end")
    if wanted.action == "move" and wanted.resource_id is None:
        raise Invalid(field="plan", reason="a move needs resource_id")
    return Proposal(row, Step(wanted.action), moved, wanted.resource_id if wanted.action == "move" else None)


def step_told(one: Proposal) -> dict[str, Any]:
    proposal: dict[str, Any] = {"action": one.step.value}
    if one.slot:
        proposal |= shapes.slot(one.slot)
    if one.resource_id:
        proposal["resource_id"] = one.resource_id
    return {"booking_id": one.booking.id, **shapes.slot(one.booking.slot), "proposal": proposal}
