"""Search over JSON: what matches, is free and within budget, and when it can be had first."""

from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from booking.finding.queries import LONGEST_LOOK, Wanted
from marketplace.catalogue.search import HIGHEST, Chosen, Hit, Prices, page_of
from marketplace.money import Money
from marketplace.refusals import Invalid
from marketplace.slot import Slot
from marketplace.tables import ResourceKind
from web import finding
from web.api import shapes
from web.api.bookings import read_slot
from web.api.marketplace import resource
from web.deps import AnyActor, Now, ReadDb

router = APIRouter(prefix="/api/v1", tags=["marketplace"])


class SearchParams(shapes.Shape):
    """The query of a search, all parts optional."""

    q: str = ""
    kind: Literal["pilot_line", "small_line", "concept_centre", "instrument"] | None = None
    chain: str | None = None
    district: str | None = None
    free_from: shapes.Instant | None = None
    free_to: shapes.Instant | None = None
    hours: Annotated[Decimal, Field(gt=0, le=1488)] | None = None
    max_price: Annotated[int, Field(ge=0, le=10**13)] | None = None
    """Per hour, minor units of `currency`."""
    budget: Annotated[int, Field(ge=0, le=10**13)] | None = None
    """For all of `hours`, minor units of `currency`."""
    currency: shapes.Currency | None = None
    """Of the prices asked for; without it a listing's own counts."""
    quantity: Annotated[int, Field(ge=1, le=1000)] = 1
    organisation_id: str | None = None
    """For whom a time is sought; without it for whom one would book."""
    assisted: bool = False
    """With an operator of the institution, whose time has to be free too; it is booked with `assisted`."""
    sort: Literal["match", "price", "name", "earliest"] = "match"
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: str | None = None


@router.get("/resources")
def search(params: Annotated[SearchParams, Query()], db: ReadDb, actor: AnyActor, now: Now) -> dict[str, Any]:
    """Each hit says why it matched, and `first_free`: the first slot that can be booked, of `hours` where they are given."""
    asked, askers = read_search(params), finding.askers_of(db, actor, params.organisation_id)
    found = finding.find(db, asked, askers=askers, now=now)
    page = page_of(
        db,
        found.matches,
        chosen=asked.chosen,
        sort=params.sort,
        first_free=found.firsts,
        limit=params.limit,
        cursor=params.cursor,
    )
    firsts = finding.firsts_of(db, found, [hit.resource.id for hit in page.hits], askers=askers, now=now)
    costs = finding.costs_of(db, found, [hit.resource for hit in page.hits], firsts, quantity=params.quantity)
    items = [_hit(hit, firsts.get(hit.resource.id), costs.get(hit.resource.id)) for hit in page.hits]
    body = {"items": items, "total": page.total, "facets": page.facets, "next_cursor": page.next_cursor}
    if page.total or asked.wanted is None:
        return body
    nearest = finding.nearest(db, asked, askers=askers, now=now)
    return {**body, "nearest": {"resource_id": nearest[0], **shapes.slot(nearest[1])} if nearest else None}


def _hit(hit: Hit, first: Slot | None, cost: Money | None) -> dict[str, Any]:
    body = {**resource(hit.resource), "score": round(hit.score, 4), "why": list(hit.why)}
    return {**body, "first_free": shapes.slot(first) if first else None, **({} if cost is None else {"cost": shapes.money(cost)})}


def read_search(params: SearchParams) -> finding.Search:
    """Raises: Invalid."""
    chosen = Chosen(ResourceKind(params.kind) if params.kind else None, params.chain, params.district)
    asked = params.currency or params.max_price is not None
    prices = Prices(most=HIGHEST if params.max_price is None else params.max_price, currency=params.currency) if asked else None
    budget = None if params.budget is None else Money(params.budget, params.currency or "CNY")
    if params.free_from is None:
        if params.assisted or not {params.free_to, params.hours, params.budget} <= {None}:
            raise Invalid(field="free_from", reason="is missing: free_to, hours, budget and assisted count from it")
        return finding.Search(params.q[:200], prices, chosen)
    within = read_slot(params.free_from, params.free_to or params.free_from + timedelta(days=7))
    if within.duration > LONGEST_LOOK:
        raise Invalid(field="free_to", reason="more than 62 days after free_from")
    length = timedelta(seconds=round(float(params.hours or 1) * 3600))
    if not length:
        raise Invalid(field="hours", reason="must be at least a minute")
    return finding.Search(params.q[:200], prices, chosen, Wanted(within, length, params.quantity, params.assisted), budget)
