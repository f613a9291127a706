"""Gaps of a series that are booked later."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy.orm import Session

from booking import queries
from booking.outages.plans import wish_of
from booking.places import lock_place
from booking.series import queries as series_queries
from booking.series import telling
from booking.series.actions import NO_SUCH_TIME, Gap, Granted, Outcome, SeriesRefused, add_bookings, admit_all, claim_all
from booking.tables import BookingSeries
from marketplace import audit
from marketplace.refusals import Invalid, WrongState
from marketplace.slot import Slot

MOST = 1000
"""Gaps tried at once: a series has no more occurrences."""


def fill_gaps(session: Session, *, series_id: str, starts: Collection[datetime] | None, actor_id: str, now: datetime) -> Outcome:
    """Try again to book the gaps that begin at `starts`, None: all that lie ahead; what is had is no gap any more.

    Raises: NotFound, WrongState (there are none), Invalid (none begins there), SeriesRefused (none can be had).
    """
    series = queries.get_series(session, series_id)
    place = lock_place(session, series.resource_id)
    session.refresh(series)
    chosen = list(islice(_chosen(series, starts, now), MOST))
    if not chosen:
        raise WrongState(state="without_gaps", move="fill_gaps")
    one = series_queries.bookings_of(session, series_id)[0]
    like = replace(wish_of(one, resource_id=series.resource_id), person_id=series.person_id)
    found = admit_all(session, place, [(like, _slot(gap)) for gap in chosen], now=now)
    granted = [one for one in found if isinstance(one, Granted)]
    gaps = [one for one in found if isinstance(one, Gap)]
    if not granted:
        raise SeriesRefused(like, gaps, [])
    had, still = {one.wish.slot.start for one in granted}, {one.slot.start: one.row() for one in gaps}
    series.gaps = [still.get(_slot(gap).start, gap) for gap in series.gaps if _slot(gap).start not in had]
    series.version += 1
    bookings = add_bookings(session, place, series, granted, now)
    claim_all(session, place, bookings, [one.units for one in granted], wish=granted[0].wish)
    audit.record(
        session,
        actor_id=actor_id,
        action="fill_gaps",
        object_kind="series",
        object_id=series.id,
        institution_id=series.institution_id,
        before=None,
        after={"bookings": [one.id for one in bookings], "gaps": len(series.gaps)},
        now=now,
    )
    telling.changed(session, series, bookings, now)
    return Outcome(series, bookings, gaps)


def _chosen(series: BookingSeries, starts: Collection[datetime] | None, now: datetime) -> Sequence[dict[str, Any]]:
    known = {_slot(gap).start: gap for gap in series.gaps if NO_SUCH_TIME not in gap["reasons"]}
    if starts is None:
        return [gap for start, gap in known.items() if start > now]
    if not set(starts) <= known.keys():
        raise Invalid(field="starts", reason="no gap of the series begins there")
    return [known[start] for start in sorted(set(starts))]


def _slot(gap: dict[str, Any]) -> Slot:
    return Slot(datetime.fromisoformat(gap["start"]), datetime.fromisoformat(gap["end"]))
