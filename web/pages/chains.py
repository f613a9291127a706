"""Finding and booking several steps in a row."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Response

from booking import queries
from booking.bundles.actions import BundleRefused
from marketplace.refusals import Invalid, Refusal, Refused
from web import checkout
from web.chains import MOST_STEPS
from web.deps import Configured, Db, Now, ReadDb, SignedIn, note
from web.done import of_bookings
from web.i18n import translator
from web.pages.drawing import Drawing, Fields, text
from web.pages.once import once
from web.pages.public import day_of
from web.present import chains as present
from web.present.chains import Leg, Typed, TypedStep
from web.reasons import sentence
from web.refusals import status_of
from web.views.frame import Area

router = APIRouter(prefix="/{lang}")
Many = Annotated[list[str], Query(max_length=MOST_STEPS + 1)]


def _(sentence: str) -> str:
    return sentence


WRONG = _("A number from 0 is needed, at most 744 hours.")


@router.get("/chains")
def chains_page(
    pen: Drawing,
    db: ReadDb,
    actor: SignedIn,
    now: Now,
    q: Many = [],  # noqa: B006 - fastapi copies it
    kind: Many = [],  # noqa: B006
    hours: Many = [],  # noqa: B006
    gap_min: Many = [],  # noqa: B006
    gap_max: Many = [],  # noqa: B006
    assisted: Many = [],  # noqa: B006
    day: str = "",
    until: str = "",
    budget: str = "",
    district: str = "",
    sort: str = "earliest",
    organisation_id: str = "",
    more: str = "",
) -> Response:
    columns = (q, kind, hours, gap_min, gap_max, assisted)
    steps = [TypedStep(*(_cell(column, n) for column in columns)) for n in range(max(map(len, columns)))]
    typed = Typed(
        steps=steps,
        day=day_of(day),
        until=day_of(until),
        budget=budget[:20],
        district=district[:100],
        sort=sort,
        organisation_id=organisation_id[:40],
        more=bool(more),
    )
    view = present.view(db, typed, actor=actor, lang=pen.lang, now=now, wrong=translator(pen.lang)(WRONG))
    return pen.page("chains.html", view, status=422 if view.form.errors else 200, area=Area.SEARCH)


def _cell(column: Sequence[str], number: int) -> str:
    return column[number][:200] if number < len(column) else ""


@router.get("/chains/review")
def review_page(
    pen: Drawing,
    db: ReadDb,
    actor: SignedIn,
    now: Now,
    part: Many = [],  # noqa: B006
    organisation_id: str = "",
) -> Response:
    view = present.review(db, present.read_tokens(part), actor=actor, organisation_id=organisation_id, lang=pen.lang, now=now)
    return pen.page("chain_review.html", view, area=Area.BOOKINGS)


@router.post("/chains/bookings")
def book(pen: Drawing, fields: Fields, db: Db, actor: SignedIn, now: Now, settings: Configured) -> Response:
    """All steps, or the review again with what stood in the way."""
    parts = present.read_tokens([value for value in fields.getlist("part") if isinstance(value, str)])
    firm, key, purpose = text(fields, "organisation_id")[:40], text(fields, "key")[:100], text(fields, "purpose")[:1000]
    orders = [
        checkout.Order(
            resource_id=part.resource_id,
            slot=part.slot,
            organisation_id=firm or None,
            purpose=purpose or None,
            payment_method=settings.test_payment_method or None,
            assisted=part.assisted,
        )
        for part in parts
    ]
    try:
        with db.begin_nested():
            first = _once(pen, db, key, orders, timedelta(minutes=settings.hold_minutes), now)
    except (BundleRefused, Invalid) as refusal:
        return _refused(pen, db, parts, refusal, firm, purpose, now)
    made = queries.bookings_of_bundle_for(db, actor, queries.get_booking(db, first).bundle_id or "")
    return pen.go("/bookings", of_bookings([one.state for one in made]))


def _once(pen: Drawing, db: Db, key: str, orders: Sequence[checkout.Order], hold: timedelta, now: Now) -> str:
    """The first booking of the bundle; sent twice, the form makes one bundle. Raises: BundleRefused, Invalid, NotAllowed."""

    def make() -> str:
        return checkout.book_bundle(db, actor=pen.actor, orders=orders, now=now, hold=hold)[0][0].id

    content = "".join(f"{order.resource_id}{order.slot.start}{order.assisted}" for order in orders)
    return once(pen, db, "/chains/bookings", key, content, make, now)


def _refused(pen: Drawing, db: Db, parts: Sequence[Leg], refusal: Refusal, firm: str, purpose: str, now: Now) -> Response:
    if isinstance(refusal, BundleRefused):
        note(db, refusal, now)
    translate = translator(pen.lang)
    view = present.review(db, parts, actor=pen.actor, organisation_id=firm, lang=pen.lang, now=now, purpose=purpose)
    reasons = refusal.reasons if isinstance(refusal, Refused) else ()
    ways_out = refusal.alternatives if isinstance(refusal, BundleRefused) else ()
    view = replace(
        view,
        refusal=sentence(refusal.code, refusal.values, translate),
        reasons=list(dict.fromkeys(sentence(one.code, one.values, translate) for one in reasons)),
        alternatives=present.moved(parts, ways_out, pen.lang, firm),
        alternative_slots=ways_out,
    )
    return pen.page("chain_review.html", view, status=status_of(refusal), area=Area.BOOKINGS)
