"""A booking that is to repeat, before it is made: what would be booked, what left out, and for how much at most."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from billing.quotes import actions as quotes
from billing.tariffs.choosing import PriceList
from marketplace.money import Money, zero
from marketplace.permissions import Actor
from marketplace.refusals import Invalid, Reason, Refusal
from marketplace.slot import Slot
from web import labels, repeating
from web.booking_words import NEW_ON_CONFLICT, NEW_REPEATS
from web.checkout import Order
from web.i18n import translator
from web.present.series import gap_row, rule_words
from web.reasons import beside
from web.repeats import MOST_TIMES, Repeat, rule_of
from web.views.frame import Choice, FieldError, Form, Lang
from web.views.review import Repeating


class Shown(NamedTuple):
    view: Repeating
    refusal: Refusal | None
    refused: Sequence[Sequence[Reason]] = ()
    """The reasons of each time that would not be made."""


def view(
    session: Session, order: Order, repeat: Repeat, prices: PriceList, *, actor: Actor, lang: Lang, zone: ZoneInfo, now: datetime
) -> Shown:
    """What is foreseen for somebody who is signed in; without, the form as typed. `prices` are what time costs them."""
    try:
        rule = rule_of(repeat, order.slot, zone) if repeat.asked else None
    except Invalid as refusal:
        error = FieldError(str(refusal.values["field"]), beside(refusal.values, translator(lang)))
        return Shown(_form(repeat, lang, error), None)
    if rule is None or actor.person_id is None:
        return Shown(_form(repeat, lang, rule=rule and rule_words(rule, zone, lang)), None)
    found = repeating.foresee(session, actor=actor, order=order, rrule=rule, on_conflict=repeat.conflict, now=now)
    made = _form(
        repeat,
        lang,
        rule=rule_words(rule, zone, lang),
        made=found.made,
        gaps=[gap_row(gap.row(), translator(lang), now) for gap in found.gaps],
        total=_total(prices, order, found.made),
    )
    return Shown(made, found.refusal, [gap.reasons for gap in found.gaps])


def _form(repeat: Repeat, lang: Lang, *errors: FieldError, **found: Any) -> Repeating:
    _, chosen = translator(lang), repeat.conflict.value
    return Repeating(
        repeats=[Choice(code, labels.word(_, "new_repeats", code), code == repeat.repeats) for code in NEW_REPEATS],
        conflicts=[Choice(code, labels.word(_, "new_on_conflict", code), code == chosen) for code in NEW_ON_CONFLICT],
        most=MOST_TIMES,
        form=Form(repeat.fields, errors),
        asked=repeat.asked,
        **found,
    )


def _total(prices: PriceList, order: Order, made: Sequence[Slot]) -> Money | None:
    """The prices that `checkout.book_series` would freeze, together."""
    each = [quotes.quote_slot(prices=prices, slot=slot, quantity=order.quantity) for slot in made]
    return sum(each, zero(prices.hour.currency)) if each else None
