"""Booking from a page, and one's bookings."""

import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from urllib.parse import quote

from fastapi import APIRouter, Response
from fastapi.responses import RedirectResponse

from billing.settlement import Funding
from booking import actions, queries
from booking.admission import SlotRefused
from booking.presence import actions as presence
from booking.requests.tables import Grounds
from booking.states import BookingState
from booking.tables import Booking
from marketplace.catalogue import queries as catalogue
from marketplace.money import EXPONENTS, Money
from marketplace.people import queries as people
from marketplace.permissions import Action, require
from marketplace.refusals import Invalid, Refusal, Stale, WrongState
from marketplace.tables import Resource
from web import bundling, calendar, checkout
from web.api.bookings import order_of, read_wish
from web.deps import Configured, Db, Now, ReadDb, SignedIn, note
from web.done import of_bookings
from web.pages import review
from web.pages.account import again
from web.pages.drawing import Drawing, Fields, number, text
from web.pages.once import once
from web.pages.public import units_of
from web.present import bookings, calendars, resource
from web.present.review import address_of
from web.refusals import Malformed, status_of
from web.repeats import Repeat
from web.views.frame import EMPTY_FORM, Area, Form

LONGEST_AMOUNT = 40
router = APIRouter(prefix="/{lang}")


@router.post("/r/{resource_id}/bookings")
def book(pen: Drawing, resource_id: str, fields: Fields, db: Db, now: Now, settings: Configured) -> Response:
    """Confirm the price shown: a booking, or the panel again with what stood in the way."""
    row = catalogue.get_visible(db, pen.actor, resource_id)
    asked = resource.Asked(
        start=text(fields, "start"),
        end=text(fields, "end"),
        first_weekday=pen.first_weekday(db),
        organisation=text(fields, "organisation_id"),
        purpose=text(fields, "purpose")[:1000],
        assisted=bool(text(fields, "assisted")),
        quantity=units_of(text(fields, "quantity")),
        override=text(fields, "override")[:1000],
    )
    repeat = review.repeat_of(fields)
    key, hold = text(fields, "key")[:100], review.hold_of(settings)
    try:
        order = order_of(row.id, read_wish(_wish(fields, settings.test_payment_method)))
    except (Malformed, Invalid) as refusal:
        if "reviewed" in fields and asked.slot:
            order = review.order_as_typed(pen, row.id, asked, asked.slot)
            return review.draw(pen, db, order, hold, now, repeat=repeat, key=key, refusal=refusal)
        return _refused(pen, db, row.id, asked, refusal, key, now)
    if before := _first(pen, order, repeat, fields):
        return before
    if repeat.asked:
        return review.book_repeated(pen, db, order, repeat, hold, key, now)
    return _confirm(pen, db, row, asked, order, fields, hold, now)


def _confirm(
    pen: Drawing,
    db: Db,
    row: Resource,
    asked: resource.Asked,
    order: checkout.Order,
    fields: Fields,
    hold: timedelta,
    now: Now,
) -> Response:
    key = text(fields, "key")[:100]
    try:
        with db.begin_nested():
            made = _once(pen, db, key, order, hold, now)
    except (SlotRefused, Invalid) as refusal:
        if "reviewed" in fields:
            if isinstance(refusal, SlotRefused):
                note(db, refusal, now)
            return review.draw(pen, db, order, hold, now, key=key, refusal=refusal)
        return _refused(pen, db, row.id, asked, refusal, key, now)
    if made.state is BookingState.HELD and (order.funding is Funding.WALLET or order.payment_method is None):
        return _on(pen, f"/{pen.lang.value}/bookings/{made.id}/payment")  # something is left to do there
    if not pen.partial:
        return pen.go(f"/bookings/{made.id}", of_bookings([made.state]))
    view = resource.booked(db, resource.panel(db, row, asked, actor=pen.actor, lang=pen.lang, now=now), made)
    return pen.page("_panel.html", view, status=201, zone=row.timezone, headers={"HX-Trigger": "slots"})


def _first(pen: Drawing, order: checkout.Order, repeat: Repeat, fields: Fields) -> Response | None:
    """Where else the order leads: to its review where that was asked for or tells something else; to sign in, and back."""
    whole = address_of(order, pen.lang, repeat=repeat)
    if pen.actor.person_id is None:
        back = whole if "reviewed" in fields else address_of(order, pen.lang, "")
        return _on(pen, f"/{pen.lang.value}/signin?next={quote(back, safe='')}")
    if "review" in fields:
        return _on(pen, whole)
    return _on(pen, f"{whole}&done=look_again") if review.to_be_seen_first(order, repeat, fields) else None


def _on(pen: Drawing, address: str) -> Response:
    """On to another page; a part of a page is left as a whole."""
    if pen.partial:
        return Response(status_code=204, headers={"HX-Redirect": address})
    return RedirectResponse(address, 303)


def _wish(fields: Fields, payment_method: str) -> dict[str, object]:
    """The form's fields as a program would send them: what was left empty is not there, a number is one."""
    given = {name: text(fields, name) for name in ("start", "end", "organisation_id", "quantity", "purpose", "funding")}
    quantity = given.pop("quantity")
    found: dict[str, object] = {"payment_method": payment_method, "assisted": bool(text(fields, "assisted")), **given}
    if quantity:
        found["quantity"] = int(quantity) if re.fullmatch(r"-?\d{1,9}", quantity, re.ASCII) else quantity
    if why := text(fields, "override"):
        found["override"] = {"reason": why}
    return {name: value for name, value in found.items() if value != "" or name in {"start", "end"}}


def _once(pen: Drawing, db: Db, key: str, order: checkout.Order, hold: timedelta, now: Now) -> Booking:
    """The booking of this form; sent twice, the form makes one booking. Raises: SlotRefused, Invalid, NotAllowed."""
    path = f"/r/{order.resource_id}/bookings"
    content = f"{order.slot}{order.organisation_id}{order.quantity}{order.assisted}{order.purpose}{order.funding}"

    def make() -> str:
        return checkout.book(db, actor=pen.actor, order=order, now=now, hold=hold)[0].id

    return queries.get_booking_for(db, pen.actor, once(pen, db, path, key, content, make, now))


def _refused(pen: Drawing, db: Db, resource_id: str, asked: resource.Asked, refusal: Refusal, key: str, now: Now) -> Response:
    row = catalogue.get_visible(db, pen.actor, resource_id)
    if isinstance(refusal, SlotRefused):
        note(db, refusal, now)
    found = resource.panel(db, row, asked, actor=pen.actor, lang=pen.lang, now=now, key=key)
    view = resource.refused(found, refusal, pen.lang)
    status = status_of(refusal)
    if pen.partial:
        return pen.page("_panel.html", view, status=status, zone=row.timezone)
    whole = resource.view(db, row, asked, actor=pen.actor, lang=pen.lang, now=now)
    return pen.page("resource.html", resource.with_panel(whole, view), status=status, area=Area.SEARCH, zone=row.timezone)


@router.get("/bookings/{booking_id}.ics")
def ics(pen: Drawing, booking_id: str, db: ReadDb, actor: SignedIn, settings: Configured) -> Response:
    row = queries.get_booking_for(db, actor, booking_id)
    place, house = catalogue.get_resource(db, row.resource_id), people.get_institution(db, row.institution_id)
    found = calendars.entry(row, place, house, lang=pen.lang, base_url=settings.base_url)
    return Response(calendar.single(found), media_type="text/calendar; charset=utf-8")


@router.get("/bookings/{booking_id}")
def page(pen: Drawing, booking_id: str, db: ReadDb, actor: SignedIn, now: Now) -> Response:
    row = queries.get_booking_for(db, actor, booking_id)
    return drawn(pen, db, row, now)


def drawn(pen: Drawing, db: ReadDb, row: Booking, now: Now, refusal: Refusal | None = None, form: Form = EMPTY_FORM) -> Response:
    """The booking's page, with what stood in the way of the last step."""
    view = bookings.one(db, row, actor=pen.actor, lang=pen.lang, now=now, form=form, refusal=refusal)
    status = status_of(refusal) if refusal else 422 if form.errors else 200
    return pen.page("booking.html", view, status=status, area=Area.BOOKINGS, zone=view.zone)


def _press(pen: Drawing, db: Db, row: Booking, now: Now, act: Callable[[], object], said: str) -> Response:
    """Do what a button asks for and say so; what the booking's state forbids is told on its page."""
    try:
        act()
    except WrongState as refusal:
        return drawn(pen, db, row, now, refusal)
    return pen.go(f"/bookings/{row.id}", said)


@router.post("/bookings/{booking_id}/cancel")
def cancel(pen: Drawing, booking_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    row, why = queries.get_booking_for(db, actor, booking_id), text(fields, "reason")
    try:
        checkout.cancel(db, actor=actor, booking_id=row.id, reason=why, now=now)
    except Invalid as refusal:
        return drawn(pen, db, row, now, form=again(pen, fields, refusal))
    except WrongState as refusal:
        return drawn(pen, db, row, now, refusal)
    return pen.go(f"/bookings/{row.id}", "cancelled")


@router.post("/bookings/{booking_id}/cancel-together")
def cancel_together(pen: Drawing, booking_id: str, _fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    """With all that was booked with it and has not begun."""
    row = queries.get_booking_for(db, actor, booking_id)
    bundle = row.bundle_id or ""
    return _press(pen, db, row, now, lambda: bundling.cancel_bundle(db, actor=actor, bundle_id=bundle, now=now), "cancelled")


@router.post("/bookings/{booking_id}/check-in")
def check_in(pen: Drawing, booking_id: str, _fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    row, who = queries.get_booking_for(db, actor, booking_id), actor.known_id
    checkout.require_present(actor, row)
    return _press(pen, db, row, now, lambda: presence.check_in(db, booking_id=row.id, actor_id=who, now=now), "checked_in")


@router.post("/bookings/{booking_id}/finish")
def finish(pen: Drawing, booking_id: str, _fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    row = queries.get_booking_for(db, actor, booking_id)
    checkout.require_present(actor, row)
    return _press(pen, db, row, now, lambda: checkout.finish(db, actor=actor, booking_id=row.id, now=now), "finished")


@router.post("/bookings/{booking_id}/approve")
def approve(pen: Drawing, booking_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    row = queries.get_booking_for(db, actor, booking_id)
    require(actor, Action.DECIDE_BOOKINGS, institution_id=row.institution_id)
    try:
        check_version(row.version, fields)
        actions.approve(db, booking_id=booking_id, actor_id=actor.known_id, now=now)
    except (WrongState, Stale) as refusal:
        return drawn(pen, db, row, now, refusal)
    return pen.go(f"/bookings/{booking_id}", "approved")


@router.post("/bookings/{booking_id}/refuse")
def refuse(pen: Drawing, booking_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    row = queries.get_booking_for(db, actor, booking_id)
    require(actor, Action.DECIDE_BOOKINGS, institution_id=row.institution_id)
    try:
        check_version(row.version, fields)
        grounds = Grounds.OUT_OF_SCOPE if text(fields, "grounds") == Grounds.OUT_OF_SCOPE else Grounds.DECLINED_CAPACITY
        if not text(fields, "reason"):
            raise Invalid(field="reason", reason="say why, the customer reads it")
        checkout.refuse(db, actor=actor, booking_id=booking_id, grounds=grounds, reason=text(fields, "reason"), now=now)
    except Invalid as refusal:
        return drawn(pen, db, row, now, form=again(pen, fields, refusal))
    except (WrongState, Stale) as refusal:
        return drawn(pen, db, row, now, refusal)
    return pen.go(f"/bookings/{booking_id}", "refused")


def check_version(present: int, fields: Fields) -> None:
    """That the page was drawn from what is there now. Raises: Stale."""
    if number(fields, "version", present) != present:
        raise Stale(version=present)


def read_money(typed: str, currency: str) -> Money:
    """An amount in major units as typed, full-width digits and separators allowed. Raises: Invalid."""
    if len(typed) > LONGEST_AMOUNT:
        raise Invalid(field="amount", reason="not an amount such as 525.00")
    try:
        exact = Decimal(typed.replace(",", "").replace("，", "").replace("¥", "").strip()).scaleb(EXPONENTS[currency])
    except ArithmeticError as error:
        raise Invalid(field="amount", reason="not an amount such as 525.00") from error
    if not exact.is_finite() or exact != exact.to_integral_value() or abs(exact) > 10**13:
        raise Invalid(field="amount", reason="has more decimals than the currency")
    return Money(int(exact), currency)
