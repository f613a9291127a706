"""Open questions about what meters said, over JSON: what was raised, on what it rests, and why it was closed."""

from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from devices import queries as devices
from devices.flags import actions, queries
from devices.flags.tables import DeviceFlag
from marketplace.catalogue import queries as catalogue
from marketplace.permissions import Action, Actor, may, require
from marketplace.refusals import NotFound
from web.api import shapes
from web.deps import Db, Now, OneAnswer, ReadDb, SignedIn

router = APIRouter(prefix="/api/v1", tags=["devices"])


class CloseIn(shapes.Shape):
    comment: shapes.Text
    """Why nothing is wrong, or what was done about it."""


@router.get("/resources/{resource_id}/flags")
def flags(resource_id: str, db: ReadDb, actor: SignedIn, page: shapes.Page) -> dict[str, Any]:
    """Open ones first; for those who keep the meters, and for evaluators."""
    resource = catalogue.get_visible(db, actor, resource_id)
    if not may(actor, Action.SEE_EVALUATION, institution_id=resource.institution_id):
        require(actor, Action.MANAGE_DEVICES, institution_id=resource.institution_id)
    return page.listed(queries.flags_of(db, resource_id, **page.asked), flag)


@router.post("/flags/{flag_id}/close")
def close(flag_id: str, body: CloseIn, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    """With a word of why. What was measured, billed and graded stays as it is."""
    row = own(db, actor, flag_id)

    def make() -> dict[str, Any]:
        return flag(actions.close(db, flag_id=row.id, comment=body.comment, actor_id=actor.known_id, now=now))

    return once.answer(200, make)


def own(db: Session, actor: Actor, flag_id: str) -> DeviceFlag:
    """Raises: NotFound (also of others' flags), NotAllowed."""
    row = queries.get_flag(db, flag_id)
    house = devices.get_device(db, row.device_id).institution_id
    if house not in actor.institutions() and not actor.is_operator:
        raise NotFound(kind="flag")
    require(actor, Action.MANAGE_DEVICES, institution_id=house)
    return row


def flag(row: DeviceFlag) -> dict[str, Any]:
    return {
        "id": row.id,
        "device_id": row.device_id,
        "resource_id": row.resource_id,
        "kind": row.kind.value,
        "day": row.day.isoformat(),
        "start": shapes.instant(row.starts_at),
        "end": shapes.instant(row.ends_at),
        "evidence": row.evidence,
        "raised_at": shapes.instant(row.raised_at),
        "closed_at": shapes.instant(row.closed_at),
        "comment": row.comment,
    }
