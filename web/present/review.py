"""A booking before it is made: price, policy with its dates, buffers, rules, who answers; and what stands in its way."""

from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction
from secrets import token_urlsafe
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from billing import actions as billing
from billing import queries as bills
from billing.payments.pages import WALLET_CURRENCY
from billing.policy import Policy
from billing.settlement import Funding
from booking.admission import SlotRefused
from booking.places import Place, get_place
from booking.series.actions import SeriesRefused
from marketplace.money import Money
from marketplace.people import queries as people
from marketplace.permissions import Action, Actor, may
from marketplace.refusals import Refusal
from marketplace.slot import Slot
from marketplace.tables import ListingState, Resource
from web import checkout
from web.checkout import Order
from web.i18n import instant
from web.present import names, programmes, repeating, resource
from web.present.policy import facts as policy_facts
from web.present.policy import percent
from web.present.series import reasons_of, would_help
from web.repeats import ONCE, Repeat
from web.views.frame import Choice, Lang
from web.views.resource import Quote, RefusalPanel
from web.views.review import CancelStep, ReviewView


def view(
    session: Session,
    row: Resource,
    order: Order,
    *,
    actor: Actor,
    lang: Lang,
    now: datetime,
    hold: timedelta,
    repeat: Repeat = ONCE,
    key: str = "",
    refusal: Refusal | None = None,
) -> ReviewView:
    """With the refusal just met, else with what would be refused now."""
    place, house = get_place(session, row.id), people.get_institution(session, row.institution_id)
    policy, slot, badge = bills.policy_of(session, row.id), order.slot, names.badge(session, row, lang, now=now)
    firms = people.organisations(session, actor.organisations)
    chosen = order.organisation_id or (firms[0].id if firms else None)
    prices = resource.prices_to(session, row, place, actor, chosen or "", assisted=order.assisted)
    quote = resource.quote(session, row, slot, prices, order.quantity, now=now)
    asks, until, wanted = place.rules.asks(chosen), place.rules.decide_by(now), replace(order, organisation_id=chosen)
    series = repeating.view(session, wanted, repeat, prices[0], actor=actor, lang=lang, zone=place.zone, now=now)
    found = refusal or series.refusal
    found = found if found or repeat.asked else _ahead(session, actor, wanted, now)
    return ReviewView(
        resource_id=row.id,
        resource=names.name_of(row, lang),
        institution=names.name_of(house, lang),
        address=row.address,
        zone=row.timezone,
        slot=slot,
        quote=quote,
        programmes=programmes.foreseen(session, chosen, slot, quote.total, policy, lang),
        assistance=place.rules.assistance.mode.value,
        assisted=order.assisted,
        cancelling=steps(policy, slot.start, place.zone, quote.total, now),
        facts=[one for one in resource.facts(row, place, metered=badge.live.state != "no_sensor") if one.code in SHOWN],
        terms=[one for one in policy_facts(policy, lang) if one.code in BILLED],
        setup=_before(slot, place),
        cleaning=_after(slot, place),
        by_request=asks,
        answer_by=min(until, slot.start) if asks and until else None,
        hold_min=None if repeat.asked else _hold_min(session, row, hold),
        organisations=[Choice(one.id, one.name, one.id == chosen) for one in firms] if len(firms) > 1 else [],
        organisation=firms[0].name if len(firms) == 1 else None,
        purpose=order.purpose or "",
        key=key or token_urlsafe(16),
        signed_in=actor.person_id is not None,
        back_url=address_of(order, lang, "") + "#panel",
        live=badge,
        quantity=order.quantity,
        capacity=row.capacity,
        repeating=series.view,
        shown=shown_of(wanted if len(firms) > 1 else replace(order, organisation_id=None), repeat),
        kept=urlencode(_typed(order, repeat)),
        override=_override(actor, row, order, series, repeat, found),
        funding=_funding(session, row, order, quote) if not repeat.asked else None,
        refusal=in_the_way(found, row.timezone, lang) if found else None,
        closed=None if row.state is ListingState.PUBLISHED else row.state.value,
    )


SHOWN = {"min", "max", "notice", "confirmation", "check_in", "overrun"}
BILLED = {"billed", "unused", "overtime", "tax"}
"""What cancelling costs is told with its dates."""


def _hold_min(session: Session, row: Resource, hold: timedelta) -> int | None:
    return int(hold.total_seconds() // 60) if billing.takes_cards(session, institution_id=row.institution_id) else None


def _ahead(session: Session, actor: Actor, order: Order, now: datetime) -> Refusal | None:
    """What somebody signed in would be refused now."""
    return checkout.foresee(session, actor=actor, order=order, now=now) if actor.person_id else None


def _funding(session: Session, row: Resource, order: Order, quote: Quote) -> str | None:
    """Wallets are offered where the platform collects and the price is in their currency."""
    offered = quote.hold is not None and quote.total.currency == WALLET_CURRENCY
    return (order.funding or Funding.CARD).value if offered else None


def _override(
    actor: Actor, row: Resource, order: Order, series: repeating.Shown, repeat: Repeat, found: Refusal | None
) -> str | None:
    if not may(actor, Action.OVERRIDE_RULES, institution_id=row.institution_id):
        return None
    refused = series.refused if repeat.asked else [found.reasons] if isinstance(found, SlotRefused) else []
    return order.override or ("" if would_help(refused, repeat.conflict) else None)


def address_of(order: Order, lang: Lang, page: str = "/review", repeat: Repeat = ONCE) -> str:
    """The review, or the listing's page, with everything that was typed."""
    slot = {"start": instant(order.slot.start), "end": instant(order.slot.end)}
    return f"/{lang.value}/r/{order.resource_id}{page}?{urlencode({**slot, **_typed(order, repeat)})}"


def _typed(order: Order, repeat: Repeat) -> dict[str, str]:
    """Everything but the time."""
    typed = {
        "organisation_id": order.organisation_id,
        "purpose": order.purpose,
        "assisted": "1" if order.assisted else "",
        "quantity": str(order.quantity) if order.quantity > 1 else "",
        "override": order.override,
    }
    return {**{name: value for name, value in typed.items() if value}, **repeat.fields}


def shown_of(order: Order, repeat: Repeat) -> str:
    """What of an order its price and its times hang on, the time itself aside."""
    told = replace(order, purpose=None, assisted=order.assisted and repeat.asked, override=order.override and "1")
    return urlencode(_typed(told, repeat))


def in_the_way(found: Refusal, zone: str, lang: Lang) -> RefusalPanel:
    """Of a series with the time that each reason is about."""
    told = resource.refusal_panel(found, lang)
    if not isinstance(found, SeriesRefused):
        return told
    return replace(told, reasons=reasons_of(found, zone, lang), alternatives=found.alternatives)


def steps(policy: Policy, start: datetime, zone: ZoneInfo, total: Money, now: datetime) -> list[CancelStep]:
    """What cancelling costs, from now on: each change of the price with the last instant before it."""
    limits = sorted({tier.limit(start, zone) for tier in policy.cancel_tiers})
    rates = [(limit, policy.cancellation_rate(start, limit, zone)) for limit in limits if now < limit <= start]
    if not policy.cancel_tiers:
        rates = [(start, Fraction(0))]
    found: list[CancelStep] = []
    for number, (limit, rate) in enumerate(rates):
        if number + 1 == len(rates) or rates[number + 1][1] != rate:
            found.append(CancelStep(limit, percent(rate), total.times(rate)))
    return [*found, CancelStep(None, percent(policy.no_show_rate), total.times(policy.no_show_rate))]


def _before(slot: Slot, place: Place) -> Slot | None:
    setup = place.rules.buffers.setup
    return Slot(slot.start - setup, slot.start) if setup else None


def _after(slot: Slot, place: Place) -> Slot | None:
    cleaning = place.rules.buffers.cleaning
    return Slot(slot.end, slot.end + cleaning) if cleaning else None
