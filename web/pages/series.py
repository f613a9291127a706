"""A series of bookings: its occurrences and gaps, editing it, cancelling what is ahead of it."""

from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Response

from booking import queries
from booking.series.actions import SeriesRefused
from booking.series.edits import Change
from booking.tables import BookingSeries, OnConflict
from marketplace.catalogue import queries as catalogue
from marketplace.refusals import Invalid, Refusal, Stale, WrongState
from marketplace.slot import Slot
from web import repeating
from web.booking_words import REPEATS
from web.deps import Db, Now, ReadDb, SignedIn, note
from web.pages.account import again
from web.pages.drawing import Drawing, Fields, instant, number, text, typed
from web.pages.timeline import read_override
from web.present import series
from web.present.turns import errors_of
from web.refusals import status_of
from web.views.frame import EMPTY_FORM, Area, FieldError, Form
from web.wall import read_slot

router = APIRouter(prefix="/{lang}/series/{series_id}")
MOST_TIMES = 1000


@router.get("")
def page(pen: Drawing, series_id: str, db: ReadDb, actor: SignedIn, now: Now) -> Response:
    return _page(pen, db, series_id, now)


def _page(
    pen: Drawing, db: ReadDb, series_id: str, now: datetime, form: Form = EMPTY_FORM, refusal: Refusal | None = None
) -> Response:
    view = series.view(db, series_id, actor=pen.actor, lang=pen.lang, now=now, form=form, refusal=refusal)
    status = status_of(refusal) if refusal else 422 if form.errors else 200
    return pen.page("series.html", view, status=status, area=Area.BOOKINGS, zone=view.zone)


def _press(pen: Drawing, db: Db, series_id: str, fields: Fields, now: datetime, act: Callable[[], tuple[str, str]]) -> Response:
    """Do what a button asks for, which answers with the series to show and what was achieved; what stands in the way is told."""
    try:
        with db.begin_nested():
            shown, done = act()
    except Invalid as refusal:
        return _page(pen, db, series_id, now, again(pen, fields, refusal))
    except (SeriesRefused, Stale, WrongState) as refusal:
        if isinstance(refusal, SeriesRefused):
            note(db, refusal, now)
        return _page(pen, db, series_id, now, Form(typed(fields)), refusal)
    return pen.go(f"/series/{shown}", done)


@router.post("/edit")
def edit(pen: Drawing, series_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    queries.bookings_of_series_for(db, actor, series_id)
    row = queries.get_series(db, series_id)
    slot = _slot(pen, db, row, fields)
    if not isinstance(slot, Slot):
        return _page(pen, db, series_id, now, Form(typed(fields), slot))

    def act() -> tuple[str, str]:
        skips = OnConflict.SKIP if text(fields, "on_conflict") == "skip" else OnConflict.REFUSE
        change = Change(text(fields, "since") or None, slot, _rule(fields), skips, _override(fields))
        version = number(fields, "version")
        made = repeating.edit_series(db, actor=actor, series_id=series_id, version=version, change=change, now=now)
        return made.edited.series.id, "series_gaps" if made.edited.gaps else "series_edited"

    return _press(pen, db, series_id, fields, now, act)


def _slot(pen: Drawing, db: Db, row: BookingSeries, fields: Fields) -> Slot | list[FieldError]:
    """The new time of the first that changes, or what is wrong with it."""
    values, zone = typed(fields), catalogue.get_resource(db, row.resource_id).timezone
    return errors_of(Form(values), zone, pen.lang) or read_slot(values, ZoneInfo(zone))


def _override(fields: Fields) -> str | None:
    """Why the rules are set aside, where that is asked for. Raises: Invalid."""
    return read_override(fields) if "aside" in fields or text(fields, "override") else None


def _rule(fields: Fields) -> str | None:
    """The new rule, if another than before is asked for. Raises: Invalid."""
    code = text(fields, "repeats")
    if code not in REPEATS or code == "same":
        return None
    count = number(fields, "count")
    if not 1 <= count <= MOST_TIMES:
        raise Invalid(field="count", reason="must be 1 to 1000")
    return f"{code};COUNT={count}"


@router.post("/gaps")
def fill(pen: Drawing, series_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    def act() -> tuple[str, str]:
        starts = [instant("start", text(fields, "start"))] if text(fields, "start") else None
        repeating.fill_gaps(db, actor=actor, series_id=series_id, starts=starts, now=now)
        return series_id, "gaps_filled"

    return _press(pen, db, series_id, fields, now, act)


@router.post("/cancel")
def cancel(pen: Drawing, series_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    rows = queries.bookings_of_series_for(db, actor, series_id)
    since = next((row.starts_at for row in rows if row.id == text(fields, "since")), None)

    def act() -> tuple[str, str]:
        repeating.cancel_series(db, actor=actor, series_id=series_id, since=since, now=now)
        return series_id, "series_cancelled"

    return _press(pen, db, series_id, fields, now, act)
