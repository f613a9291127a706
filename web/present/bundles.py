"""What was booked together, on the page of one of its bookings: what moving or cancelling all of it would come to."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import urlencode

from sqlalchemy.orm import Session

from billing import cancelling
from billing import queries as bills
from booking import queries
from booking.bundles import moves
from booking.bundles.actions import BundleRefused
from booking.states import BookingState
from booking.tables import Booking
from marketplace.catalogue import queries as catalogue
from marketplace.money import Money, by_currency
from marketplace.permissions import Actor
from marketplace.tables import Resource
from web import bundling
from web.i18n import Formats, translator
from web.present import names
from web.present.turns import of_instants
from web.reasons import sentence
from web.views.bookings import BookingView, Bundle, MoveTogether, PartRow, Way
from web.views.frame import Lang

START = "all_start"
"""The field that says where this one shall begin, with all others going along."""


def bundle(session: Session, row: Booking, actor: Actor, lang: Lang, zone: str, now: datetime) -> Bundle | None:
    """None where the reader may know of no other part."""
    found = queries.bookings_of_bundle_for(session, actor, row.bundle_id or "")
    others = [one for one in found if one.id != row.id]
    if not others:
        return None
    ahead = bundling.ahead_of(found, now) if bundling.may_move(actor, found) else []
    several = ahead if len(ahead) > 1 else []
    fees = by_currency([cancelling.fee_if_cancelled(session, booking=one, now=now) for one in several])
    whole = queries.bookings_of_bundle(session, row.bundle_id or "")
    movable = moves.movable(whole, now)
    return Bundle(
        parts=_rows(session, others, lang),
        ahead=len(several),
        fees=[fee for fee in fees if fee],
        movable=len(movable) if row in movable and len(movable) > 1 and bundling.may_move(actor, movable) else 0,
        version=moves.version_of(whole),
        start=of_instants([(START, row.starts_at)], zone)[START],
    )


def _rows(session: Session, rows: Sequence[Booking], lang: Lang) -> list[PartRow]:
    places = {one.id: one for one in catalogue.resources(session, {row.resource_id for row in rows})}
    return [_row(row, places[row.resource_id], lang) for row in rows]


def _row(row: Booking, place: Resource, lang: Lang) -> PartRow:
    return PartRow(row.id, names.name_of(place, lang), row.slot, place.timezone, row.state.value)


def foreseen(
    session: Session, row: Booking, by: timedelta, *, actor: Actor, version: int, zone: str, lang: Lang, now: datetime
) -> MoveTogether:
    """What the move would come to: it is made, looked at and undone, so that the verdict is the move's own.

    Raises: what bundling.move_bundle does.
    """
    bundle_id, start = row.bundle_id or "", row.starts_at + by
    held = bills.quotes_of_bookings(
        session, [one.id for one in moves.movable(queries.bookings_of_bundle(session, bundle_id), now)]
    )
    before = by_currency([Money(one.quote_minor, one.currency) for one in held.values()])
    trial = session.begin_nested()
    try:
        made, prices = bundling.move_bundle(session, actor=actor, bundle_id=bundle_id, by=by, version=version, now=now)
        return MoveTogether(
            parts=_rows(session, made.bookings, lang),
            prices=list(zip(before, by_currency(prices), strict=True)),
            asks=any(one.state is BookingState.REQUESTED for one in made.bookings),
            hidden=list(of_instants([(START, start)], zone).items()),
        )
    finally:
        trial.rollback()


def looked_at(view: BookingView, found: MoveTogether) -> BookingView:
    return replace(view, bundle=view.bundle and replace(view.bundle, move=found))


def refused(session: Session, view: BookingView, refusal: BundleRefused, lang: Lang, now: datetime) -> BookingView:
    """Every reason by the part that it is about, and the nearest shifts by which all of them fit, as starts of this one."""
    _, formats = translator(lang), Formats(lang)
    places = {one.id: one for one in catalogue.resources(session, {one.wish.resource_id for one in refusal.refusals})}
    told = []
    for one in refusal.refusals:
        place = places[one.wish.resource_id]
        said = [sentence(reason.code, reason.values, _) for reason in one.reasons if reason.code != "slot_taken"]
        said += [_("Taken: {when}").format(when=formats.span(slot, place.timezone)) for slot in one.conflicts]
        told += [_("{label}: {value}").format(label=names.name_of(place, lang), value=why) for why in said]
    row = queries.get_booking(session, view.id)
    movable = moves.movable(queries.bookings_of_bundle(session, row.bundle_id or ""), now)
    first = min((one.starts_at for one in movable), default=row.starts_at)
    ways = [_way(row, row.starts_at + (way.start - first), view.zone, lang) for way in refusal.alternatives]
    changes = replace(view.changes, refused=list(dict.fromkeys(told)))
    return replace(view, changes=changes, bundle=view.bundle and replace(view.bundle, ways=ways))


def _way(row: Booking, start: datetime, zone: str, lang: Lang) -> Way:
    return Way(start, f"/{lang.value}/bookings/{row.id}/move-together?{urlencode(of_instants([(START, start)], zone))}")
