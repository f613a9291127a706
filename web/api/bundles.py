"""What was booked together over JSON: read, moved by one shift of time, cancelled."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Response

from booking import queries
from booking.bundles import moves
from web import bundling
from web.api import shapes
from web.api.bookings import read_version, shape, sums
from web.deps import Db, Now, OneAnswer, ReadDb, SignedIn

router = APIRouter(prefix="/api/v1/bundles/{bundle_id}", tags=["booking"])


class MoveTogetherIn(shapes.Shape):
    start: shapes.Instant
    """Where the first that has not begun shall start; the others go by the same shift."""


@router.get("")
def bundle(bundle_id: str, db: ReadDb, actor: SignedIn, response: Response) -> dict[str, Any]:
    """Those of its bookings that one may know of, in order; its version changes with any of them."""
    rows = queries.bookings_of_bundle_for(db, actor, bundle_id)
    version = moves.version_of(queries.bookings_of_bundle(db, bundle_id))
    response.headers["etag"] = f'"{version}"'
    return {"id": bundle_id, "version": version, "bookings": [shape(row) for row in rows]}


@router.post("/move")
def move(
    bundle_id: str,
    body: MoveTogetherIn,
    once: OneAnswer,
    db: Db,
    actor: SignedIn,
    now: Now,
    if_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Every part that has not begun, by one shift of time, all or none."""
    queries.bookings_of_bundle_for(db, actor, bundle_id)  # what one may not know of is 404 before it is 428

    def make() -> dict[str, Any]:
        rows = queries.bookings_of_bundle(db, bundle_id)
        version = read_version(if_match, moves.version_of(rows))
        by = body.start - min((row.starts_at for row in moves.movable(rows, now)), default=body.start)
        made, prices = bundling.move_bundle(db, actor=actor, bundle_id=bundle_id, by=by, version=version, now=now)
        told = [shape(row, shapes.money(price)) for row, price in zip(made.bookings, prices, strict=True)]
        return {"id": bundle_id, "version": made.version, "bookings": told, "quotes": sums(prices)}

    return once.answer(200, make)


@router.post("/cancel")
def cancel(bundle_id: str, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    """Every part that has not begun, all or none."""
    queries.bookings_of_bundle_for(db, actor, bundle_id)

    def make() -> dict[str, Any]:
        ended = bundling.cancel_bundle(db, actor=actor, bundle_id=bundle_id, now=now)
        rows = [{**shape(row), "fee": shapes.money(fee)} for row, fee in ended]
        return {"id": bundle_id, "bookings": rows, "fees": sums([fee for _, fee in ended])}

    return once.answer(200, make)
