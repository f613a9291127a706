"""Process chains over JSON: steps in an order, answered with chains that POST /bookings takes as they are."""

from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import Field

from marketplace.refusals import Invalid
from marketplace.tables import ResourceKind
from web import chains
from web.api import shapes
from web.api.bookings import read_slot
from web.chains import MOST_DAYS, MOST_PROPOSALS, MOST_STEPS, Answer, AskedChain, AskedStep, Proposal
from web.deps import Now, ReadDb, SignedIn

router = APIRouter(prefix="/api/v1", tags=["booking"])
LONGEST_MIN = MOST_DAYS * 24 * 60
Minutes = Annotated[shapes.Whole, Field(ge=0, le=LONGEST_MIN)]


class ChainStepIn(shapes.Shape):
    """What must be done: by words, kind, or one resource. Gaps are minutes from the end of the step before to its start."""

    q: Annotated[str, Field(max_length=200)] = ""
    kind: Literal["pilot_line", "small_line", "concept_centre", "instrument"] | None = None
    resource_id: shapes.Text | None = None
    minutes: Annotated[shapes.Whole, Field(ge=1, le=LONGEST_MIN)]
    quantity: Annotated[shapes.Whole, Field(ge=1, le=1000)] = 1
    gap_min: Minutes = 0
    gap_max: Minutes | None = None
    assisted: shapes.Flag = False
    """With an operator of the institution; the part is booked so."""

    def value(self) -> AskedStep:
        return AskedStep(
            text=self.q,
            kind=ResourceKind(self.kind) if self.kind else None,
            resource_id=self.resource_id,
            length=timedelta(minutes=self.minutes),
            quantity=self.quantity,
            gap_min=timedelta(minutes=self.gap_min),
            gap_max=None if self.gap_max is None else timedelta(minutes=self.gap_max),
            assisted=self.assisted,
        )


class ChainIn(shapes.Shape):
    """Steps in their order, all inside `from` to `until`."""

    steps: Annotated[list[ChainStepIn], Field(min_length=1, max_length=MOST_STEPS)]
    from_: Annotated[shapes.Instant, Field(alias="from")]
    until: shapes.Instant
    budget: shapes.MoneyIn | None = None
    district: shapes.Text | None = None
    organisation_id: shapes.Text | None = None
    sort: Literal["earliest", "cheapest", "fewest"] = "earliest"
    limit: Annotated[shapes.Whole, Field(ge=1, le=MOST_PROPOSALS)] = 5


@router.post("/chains/proposals")
def propose(body: ChainIn, db: ReadDb, actor: SignedIn, now: Now) -> dict[str, Any]:
    """Chains that would be granted whole and at these prices if they were booked at once; nothing is stored."""
    within = read_slot(body.from_, body.until, "until")
    if within.duration > timedelta(days=MOST_DAYS):
        raise Invalid(field="until", reason="more than {days} days after from", days=MOST_DAYS)
    for number, step in enumerate(body.steps):
        if not (step.q.strip() or step.kind or step.resource_id):
            raise Invalid(field=f"steps.{number}.q", reason="say what must be done, by words, kind or resource")
        if step.gap_max is not None and step.gap_max < step.gap_min:
            raise Invalid(field=f"steps.{number}.gap_max", reason="is less than gap_min")
    asked = AskedChain(
        steps=[step.value() for step in body.steps],
        within=within,
        budget=body.budget.value() if body.budget else None,
        district=body.district,
        organisation_id=body.organisation_id,
    )
    return shape(chains.propose(db, actor=actor, asked=asked, sort=body.sort, limit=body.limit, now=now))


def shape(answer: Answer) -> dict[str, Any]:
    unserved = [{"step": number, "reason": reason} for number, reason in answer.unserved.items()]
    return {"proposals": [_proposal(one) for one in answer.proposals], "unserved": unserved, "why": answer.why}


def _proposal(found: Proposal) -> dict[str, Any]:
    parts = [
        {
            "resource_id": part.resource.id,
            "institution_id": part.resource.institution_id,
            "name": part.resource.name,
            "name_en": part.resource.name_en,
            **shapes.slot(part.slot),
            "quantity": part.quantity,
            "assisted": part.assisted,
            "price": shapes.money(part.price),
        }
        for part in found.parts
    ]
    totals = [shapes.money(total) for total in found.totals]
    asked = [{name: part[name] for name in ("resource_id", "start", "end", "quantity", "assisted")} for part in parts]
    return {
        "parts": parts,
        "bundle": {"parts": asked},
        **shapes.slot(found.slot),
        "totals": totals,
        "institutions": found.houses,
        "best": list(found.best),
    }
