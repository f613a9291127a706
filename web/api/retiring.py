"""Retiring a resource over JSON: what lies ahead of it, what is proposed for that, and doing it."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import Field

from web import retiring
from web.api import shapes
from web.api.marketplace import require_to_list, resource
from web.api.outages import read_plan, step_told
from web.deps import Db, Now, OneAnswer, SignedIn
from web.retiring import for_good

router = APIRouter(prefix="/api/v1", tags=["marketplace"])


class RetireIn(shapes.Shape):
    plan: (
        Literal["keep", "cancel", "proposed"] | Annotated[list[shapes.PlanIn | shapes.ProposedIn], Field(max_length=5000)] | None
    ) = None
    """What becomes of the bookings ahead; needed where anything lies ahead."""


@router.post("/resources/{resource_id}/retire")
def retire(
    resource_id: str,
    once: OneAnswer,
    db: Db,
    actor: SignedIn,
    now: Now,
    body: RetireIn | None = None,
    *,
    dry_run: bool = False,
) -> Response:
    """Close it for good, with a step for each booking ahead; a dry run tells the mildest ones and changes nothing."""
    require_to_list(db, actor, resource_id)
    wanted = body.plan if body else None
    if dry_run:
        plan = read_plan(db, actor, resource_id, for_good(now), "proposed" if wanted is None else wanted, now)
        found = retiring.ahead_of(db, resource_id, now)
        return once.answer(200, lambda: {"ahead": found.counts, "affected": [step_told(one) for one in plan]})

    def make() -> dict[str, Any]:
        steps = None if wanted is None else read_plan(db, actor, resource_id, for_good(now), wanted, now)
        return resource(retiring.retire(db, actor=actor, resource_id=resource_id, plan=steps, now=now))

    return once.answer(200, make)
