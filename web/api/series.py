"""Series over JSON: make, read, edit, fill their gaps, cancel what is ahead."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Header, Response

from booking import queries
from booking.series import queries as series_queries
from booking.series.actions import Gap
from booking.series.edits import Change
from booking.tables import Booking, BookingSeries, OnConflict
from marketplace.money import Money
from web import checkout, repeating
from web.api import shapes
from web.api.bookings import order_of, read_slot, read_version, shape, sums
from web.deps import Db, Now, OneAnswer, ReadDb, SignedIn
from web.refusals import reason_of
from web.repeating import Repriced

router = APIRouter(prefix="/api/v1", tags=["booking"])


@router.post("/resources/{resource_id}/booking-series", status_code=201)
def book_series(resource_id: str, body: shapes.SeriesIn, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    """A booking and its repetitions: all of them, or those that can be had."""
    order = order_of(resource_id, body)

    def make() -> dict[str, Any]:
        found, quotes = checkout.book_series(
            db, actor=actor, order=order, rrule=body.rrule, on_conflict=OnConflict(body.on_conflict), now=now
        )
        return {
            "id": found.series.id,
            "version": found.series.version,
            "bookings": priced(found.bookings, quotes),
            "skipped": [gap_shape(gap) for gap in found.gaps],
            "quotes": sums(quotes),
        }

    return once.answer(201, make)


def priced(rows: Sequence[Booking], quotes: Sequence[Money]) -> list[dict[str, Any]]:
    return [shape(row, shapes.money(quote)) for row, quote in zip(rows, quotes, strict=True)]


def gap_shape(gap: Gap) -> dict[str, Any]:
    return {
        **shapes.slot(gap.slot),
        "conflicts": [shapes.slot(one) for one in gap.conflicts],
        "reasons": [reason_of(one, str) for one in gap.reasons],
    }


def series_shape(row: BookingSeries) -> dict[str, Any]:
    return {
        "id": row.id,
        "resource_id": row.resource_id,
        **shapes.slot(row.slot),
        "rrule": row.rrule,
        "on_conflict": row.on_conflict.value,
        "split_from": row.split_from,
        "version": row.version,
        "skipped": row.gaps,
    }


@router.get("/booking-series/{series_id}")
def series(series_id: str, db: ReadDb, actor: SignedIn, response: Response) -> dict[str, Any]:
    """With its bookings; of one that was moved alone, where the rule has it."""
    rows = queries.bookings_of_series_for(db, actor, series_id)
    row, homes = queries.get_series(db, series_id), series_queries.moved_from(db, series_id)
    response.headers["etag"] = f'"{row.version}"'
    told = [{**shape(one), "moved_from": shapes.slot(homes[one.id]) if one.id in homes else None} for one in rows]
    return {**series_shape(row), "bookings": told}


@router.patch("/booking-series/{series_id}", response_model=None)
def edit_series(
    series_id: str,
    body: shapes.EditSeriesIn,
    db: Db,
    actor: SignedIn,
    now: Now,
    response: Response,
    if_match: Annotated[str | None, Header()] = None,
) -> dict[str, Any]:
    """This and the following occurrences, which become a series of their own, or all that have not begun."""
    queries.bookings_of_series_for(db, actor, series_id)  # what one may not know of is 404 before it is 428
    version = read_version(if_match, queries.get_series(db, series_id).version)
    why = body.override.reason if body.override else None
    change = Change(body.since, read_slot(body.start, body.end), body.rrule, OnConflict(body.on_conflict), why)
    made = repeating.edit_series(db, actor=actor, series_id=series_id, version=version, change=change, now=now)
    response.headers["etag"] = f'"{made.edited.series.version}"'
    return edited_shape(made)


def edited_shape(made: Repriced) -> dict[str, Any]:
    done = made.edited
    stand = [*priced(done.moved, made.moved), *priced(done.added, made.added)]
    ended = [{**shape(row), "fee": shapes.money(fee)} for row, fee in zip(done.ended, made.fees, strict=True)]
    return {
        **series_shape(done.series),
        "bookings": sorted(stand, key=lambda one: str(one["start"])),
        "skipped": [gap_shape(gap) for gap in done.gaps],
        "cancelled": ended,
        "quotes": sums([*made.moved, *made.added]),
    }


@router.post("/booking-series/{series_id}/gaps")
def fill_gaps(series_id: str, once: OneAnswer, db: Db, actor: SignedIn, now: Now, body: shapes.GapsIn | None = None) -> Response:
    """Try again to book what could not be had: all gaps that lie ahead, or those that begin at `starts`."""

    def make() -> dict[str, Any]:
        starts = body.starts if body else None
        made, quotes = repeating.fill_gaps(db, actor=actor, series_id=series_id, starts=starts, now=now)
        told = {"bookings": priced(made.bookings, quotes), "skipped": [gap_shape(gap) for gap in made.gaps]}
        return {"id": made.series.id, "version": made.series.version, **told, "quotes": sums(quotes)}

    return once.answer(200, make)


@router.post("/booking-series/{series_id}/cancel")
def cancel_series(
    series_id: str, once: OneAnswer, db: Db, actor: SignedIn, now: Now, body: shapes.CancelSeriesIn | None = None
) -> Response:
    """This and the following occurrences, or all that have not begun."""

    def make() -> dict[str, Any]:
        since = body.from_ if body else None
        ended = repeating.cancel_series(db, actor=actor, series_id=series_id, since=since, now=now)
        return {"cancelled": [{**shape(row), "fee": shapes.money(fee)} for row, fee in ended]}

    return once.answer(200, make)
