"""Discrepancies over JSON: what late messages would make of sealed time, what rests on it, and which revisions are with it."""

from typing import Any

from fastapi import APIRouter

from devices.discrepancies import queries
from devices.discrepancies.tables import Discrepancy
from evaluation.corrections.queries import answers_to
from evaluation.tables import Revision
from marketplace.catalogue import queries as catalogue
from marketplace.permissions import Action, Actor, may, require
from web.api import shapes
from web.deps import ReadDb, SignedIn

router = APIRouter(prefix="/api/v1", tags=["devices"])
READERS = (Action.HANDLE_MONEY, Action.SEE_EVALUATION)


def require_reader(actor: Actor, institution_id: str) -> None:
    """Who reviews use there, handles its money, or looks over figures. Raises: NotSignedIn, NotAllowed."""
    if not any(may(actor, action, institution_id=institution_id) for action in READERS):
        require(actor, Action.REVIEW_USE, institution_id=institution_id)


@router.get("/resources/{resource_id}/discrepancies")
def discrepancies(resource_id: str, db: ReadDb, actor: SignedIn, page: shapes.Page) -> dict[str, Any]:
    """Every record, the last found first; of a meter's day the one of the highest number stands."""
    resource = catalogue.get_visible(db, actor, resource_id)
    require_reader(actor, resource.institution_id)
    found = queries.discrepancies_of(db, resource_id, **page.asked)
    answers = answers_to(db, [one.id for one in found])
    return page.listed(found, lambda row: discrepancy(row, answers.get(row.id, [])))


def discrepancy(row: Discrepancy, answers: list[Revision]) -> dict[str, Any]:
    return {
        "id": row.id,
        "device_id": row.device_id,
        "resource_id": row.resource_id,
        "day": row.day.isoformat(),
        "number": row.number,
        "start": shapes.instant(row.starts_at),
        "end": shapes.instant(row.ends_at),
        "differs": row.differs,
        "was": {"run_s": row.was_s, "energy_wh": row.was_wh, **row.was},
        "would_be": {"run_s": row.would_be_s, "energy_wh": row.would_be_wh, **row.would_be},
        "messages": row.messages,
        "rests_on": row.rests_on,
        "revisions": [{"id": one.id, "period": one.period, "number": one.number} for one in answers],
        "found_at": shapes.instant(row.found_at),
    }
