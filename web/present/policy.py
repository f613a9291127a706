"""A resource's policy: its editor, what another one would have made of the last bills, and what customers read of it."""

from datetime import datetime
from fractions import Fraction

from sqlalchemy.orm import Session

from billing import policy as policies
from billing import queries as bills
from billing.exact import as_decimal
from billing.lookback import Effect
from billing.policy import MOST_TIERS, OVERRUN_MAX_MIN, Basis, Policy, Tier
from billing.tariffs.presets import presets
from billing.tariffs.rules import MOST_RULES
from marketplace.money import by_currency
from marketplace.permissions import Action, Actor, may
from marketplace.tables import Resource
from web.i18n import Formats, translator
from web.present import desk, names, tariffs
from web.present.rules import rows_of
from web.views.frame import Choice, Form, Lang
from web.views.policy import EffectView, PolicyView, RebilledRow
from web.views.resource import Fact

MOST_ROWS = 20
"""Bills that would have been others, shown by name."""
WHOLE = ("increment_min", "minimum_min", "grace_min", "overtime_max_min", "dispute_hours", "late_data_hours")
PERCENT = ("overtime_mult", "unused_rate", "no_show_rate")


def editor(
    session: Session,
    row: Resource,
    actor: Actor,
    lang: Lang,
    *,
    now: datetime,
    form: Form | None = None,
    effect: Effect | None = None,
    seen: str = "",
) -> PolicyView:
    """With what is stored or, after a form was sent, what was typed."""
    _, version = translator(lang), bills.find_policy_version(session, row.id)
    policy = bills.policy_of(session, row.id)
    shown = form or Form(stored(policy, row.currency))
    return PolicyView(
        id=row.id,
        name=names.name_of(row, lang),
        zone=row.timezone,
        number=version.number if version else 0,
        tiers=range(min(rows_of(shown.values, "limit"), MOST_TIERS)),
        units=[Choice("hours", _("hours before")), Choice("days", _("calendar days before"))],
        bases=[
            Choice(Basis.ACTUAL, _("The use that is confirmed")),
            Choice(Basis.BOOKED, _("The booked time, used or not")),
            Choice(Basis.MAX, _("Whichever of the two is more")),
        ],
        prices=range(min(rows_of(shown.values, "each"), MOST_RULES)),
        currency=row.currency,
        tariff=tariffs.choices(policy, shown.values, lang),
        can_edit=may(actor, Action.LIST_RESOURCES, institution_id=row.institution_id),
        live=names.badge(session, row, lang, now=now),
        form=shown,
        effect=_effect(session, effect) if effect else None,
        seen=seen,
    )


def filled(preset: str, row: Resource) -> Form | None:
    """The editor's fields by the rules of another institution, at the listing's price; None where there is no such preset."""
    found = presets().get(preset)
    return Form({**stored(policies.parse(found.terms(row.price)), row.currency), "preset": preset}) if found else None


def stored(policy: Policy, currency: str) -> dict[str, str]:
    """The policy as the editor's fields; rates in per cent, the earliest tier first."""
    found = {name: str(getattr(policy, name)) for name in WHOLE} | tariffs.stored(policy, currency)
    found |= {name: percent(getattr(policy, name)) for name in PERCENT}
    for number, tier in enumerate(in_order(policy)):
        limit = as_decimal(tier.hours) if tier.hours is not None else str(tier.days)
        unit = "hours" if tier.hours is not None else "days"
        found |= {f"limit_{number}": limit, f"unit_{number}": unit, f"rate_{number}": percent(tier.rate)}
    return {**found, "basis": policy.basis.value, "unused_free": "1" if policy.unused_free_if_rebooked else ""}


def percent(rate: Fraction) -> str:
    """
    >>> percent(Fraction(1, 8))
    '12.5'
    """
    return as_decimal(rate * 100)


def in_order(policy: Policy) -> list[Tier]:
    """The tier that ends the longest before the start first; a day as 24 hours."""

    def hours(tier: Tier) -> Fraction:
        return tier.hours if tier.hours is not None else Fraction(24 * (tier.days or 0))

    return sorted(policy.cancel_tiers, key=hours, reverse=True)


def _effect(session: Session, found: Effect) -> EffectView:
    changed = [one for one in found.bills if one.before != one.after]
    changed.sort(key=lambda one: abs(one.after.minor - one.before.minor), reverse=True)
    shown = changed[:MOST_ROWS]
    who = desk.customers(session, [one.booking for one in shown])
    return EffectView(
        span=found.span,
        bills=len(found.bills),
        changed=len(changed),
        before=by_currency([one.before for one in found.bills]),
        after=by_currency([one.after for one in found.bills]),
        all_seen=found.all_seen,
        rows=[RebilledRow(one.booking.id, who.get(one.booking.id, ""), one.booking.slot, one.before, one.after) for one in shown],
        more=len(changed) - len(shown),
    )


def facts(policy: Policy, lang: Lang) -> list[Fact]:
    """What a customer must know of it, in words; minutes that are not billed and platform fees are left out."""
    _ = translator(lang)
    found = {
        "cancellation": cancelling(policy, lang),
        "no_show": [_part(policy.no_show_rate, lang)],
        "billed": _billed(policy, lang),
        "unused": _unused(policy, lang),
        "overtime": [_overtime(policy, lang)],
        "tax": [tariffs.tax_words(policy, lang)] if policy.tax.rate else [],
    }
    return [Fact(code, lines[0], lines[1:]) for code, lines in found.items() if lines]


def cancelling(policy: Policy, lang: Lang) -> list[str]:
    """A line for each price of cancelling, until when it holds.

    >>> cancelling(Policy(), Lang.EN)
    ['Until 48 h before: free', 'Until 24 h before: 25 per cent of the price', 'Until the start: 50 per cent of the price']
    >>> cancelling(Policy(cancel_tiers=(Tier(Fraction(0), days=3),)), Lang.EN)
    ['Until 3 calendar days (same time) before: free', 'Later: 50 per cent of the price']
    """
    _, tiers = translator(lang), in_order(policy)
    if not tiers:
        return [_("Until the start: free")]
    rates = [min(tier.rate for tier in tiers[number:]) for number in range(len(tiers))]
    last = [number for number, rate in enumerate(rates) if rates[number + 1 : number + 2] != [rate]]
    lines = [_until(tiers[number], rates[number], lang) for number in last]
    if tiers[-1].hours == 0 or tiers[-1].days == 0:
        return lines
    return [*lines, _("Later: {part}").format(part=_part(policy.no_show_rate, lang))]


def _until(tier: Tier, rate: Fraction, lang: Lang) -> str:
    _, part = translator(lang), _part(rate, lang)
    if tier.hours == 0 or tier.days == 0:
        return _("Until the start: {part}").format(part=part)
    if tier.hours is not None:
        return _("Until {count} h before: {part}").format(count=as_decimal(tier.hours), part=part)
    if tier.days == 1:
        return _("Until 1 calendar day (same time) before: {part}").format(part=part)
    return _("Until {count} calendar days (same time) before: {part}").format(count=tier.days, part=part)


def _part(rate: Fraction, lang: Lang) -> str:
    _ = translator(lang)
    return _("{percent} per cent of the price").format(percent=percent(rate)) if rate else _("free")


def _billed(policy: Policy, lang: Lang) -> list[str]:
    _, length = translator(lang), Formats(lang).length
    around = [(policy.setup_billed, _("Set-up before a use")), (policy.cleanup_billed, _("Clean-down after a use"))]
    beside = [said for billed, said in around if billed]
    if policy.basis is Basis.BOOKED:
        return [_("The booked time, used or not"), *beside]
    lines = [_("The confirmed use, in steps of {step}").format(step=length(policy.increment_min))]
    if policy.minimum_min > policy.increment_min:
        lines.append(_("At least {least}, never more than was booked").format(least=length(policy.minimum_min)))
    return [*lines, *([_("At least the booked time")] if policy.basis is Basis.MAX else []), *beside]


def _unused(policy: Policy, lang: Lang) -> list[str]:
    """Nothing where the rest of the booked time costs nothing, or is billed as if it were used."""
    if policy.basis is not Basis.ACTUAL or not policy.unused_rate:
        return []
    _ = translator(lang)
    return [_part(policy.unused_rate, lang), *([_("Nothing for what others book")] if policy.unused_free_if_rebooked else [])]


def _overtime(policy: Policy, lang: Lang) -> str:
    _, length, most = translator(lang), Formats(lang).length, min(policy.overtime_max_min, OVERRUN_MAX_MIN)
    if not policy.overtime_mult or policy.grace_min >= most:
        return _("free")
    part = _part(policy.overtime_mult, lang)
    if not policy.grace_min:
        return _("{part}, from the first minute, for {most} at most").format(part=part, most=length(most))
    return _("{part}, once it is longer than {grace}, for {most} at most").format(
        part=part, grace=length(policy.grace_min), most=length(most)
    )
