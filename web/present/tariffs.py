"""Tariffs in words and as fields of the policy's editor; presets to start from."""

from collections.abc import Mapping, Sequence

from billing.exact import as_decimal
from billing.policy import Policy
from billing.tariffs.presets import presets
from billing.tariffs.rules import CLASSES, WEEK, Rule, Window, by_class, clock
from billing.tariffs.taxes import Mode
from booking.availability import DAY_MIN
from marketplace.money import Money
from web.i18n import Formats, translator
from web.rule_words import GROUP
from web.views.frame import Choice, Lang
from web.views.policy import PresetView, TariffChoices

WORKDAYS, WEEKEND = (0, 1, 2, 3, 4), (5, 6)
GROUPS = {"internal": "own"}
"""Whose words differ from the code of their class."""


def all_rules(policy: Policy) -> Sequence[Rule]:
    """Its prices by class too, which are rules with one condition."""
    return (*by_class(policy.class_prices), *policy.tariff)


def stored(policy: Policy, currency: str) -> dict[str, str]:
    """As the editor's fields, a line for each rule."""
    found = {
        "tax_rate": as_decimal(policy.tax.rate * 100) if policy.tax.rate else "",
        "tax_mode": policy.tax.mode.value,
        "setup_billed": "1" if policy.setup_billed else "",
        "cleanup_billed": "1" if policy.cleanup_billed else "",
    }
    for number, rule in enumerate(all_rules(policy)):
        line = {"each": str(Money(rule.price, currency).decimal), **_conditions(rule)}
        found |= {f"{name}_{number}": value for name, value in line.items()}
    return found


def _conditions(rule: Rule) -> dict[str, str]:
    window, whole = rule.window or Window(), Window()
    timed = (window.start_min, window.end_min) != (whole.start_min, whole.end_min)
    return {
        "class": rule.customer_class or "",
        "days": "" if window.weekdays == WEEK else days_value(window.weekdays),
        "begins": clock(window.start_min) if timed else "",
        "ends": clock(window.end_min % DAY_MIN) if timed else "",
        "help": "" if rule.assisted is None else "1" if rule.assisted else "0",
        "step": as_decimal(rule.from_hours) if rule.from_hours is not None else "",
    }


def days_value(days: Sequence[int]) -> str:
    return ",".join(str(day) for day in days)


def choices(policy: Policy, values: Mapping[str, str], lang: Lang) -> TariffChoices:
    """What the columns offer; weekdays that were chosen elsewhere are offered too."""
    _ = translator(lang)
    stored_days = {rule.window.weekdays for rule in policy.tariff if rule.window}
    usual = [WORKDAYS, WEEKEND, *((day,) for day in WEEK)]
    days = [*usual, *sorted(stored_days - {WEEK, *usual})]
    return TariffChoices(
        classes=[Choice("", _("Everybody")), *(Choice(kind, _(GROUP[GROUPS.get(kind, kind)])) for kind in CLASSES)],
        days=[Choice("", _("Every day")), *(Choice(days_value(one), days_words(one, lang)) for one in days)],
        helps=[
            Choice("", _("With or without an operator")),
            Choice("1", _("With an operator")),
            Choice("0", _("Without an operator")),
        ],
        modes=[Choice(Mode.INCLUDED, _("within the prices")), Choice(Mode.ADDED, _("added to the prices"))],
        presets=[Choice(one.key, f"{one.institution}: {one.what}") for one in presets().values()],
        preset=preset_view(values.get("preset", "")),
    )


def preset_view(key: str) -> PresetView | None:
    """Where what fills the form is from."""
    one = presets().get(key)
    return PresetView(one.institution, one.what, one.source, one.dated, one.leaves_out) if one else None


def days_words(days: Sequence[int], lang: Lang) -> str:
    """
    >>> days_words((0, 1, 2, 3, 4), Lang.EN), days_words((0, 2), Lang.EN)
    ('Mon–Fri', 'Mon, Wed')
    """
    f = Formats(lang)
    if len(days) > 1 and list(days) == list(range(days[0], days[-1] + 1)):
        return f"{f.weekday(days[0])}–{f.weekday(days[-1])}"
    return (", " if lang is Lang.EN else "、").join(f.weekday(day) for day in days)


def told(policy: Policy, currency: str, lang: Lang) -> list[tuple[str, Money]]:
    """The rules of a tariff for who reads a listing: under which conditions an hour costs what."""
    return [(words(rule, lang), Money(rule.price, currency)) for rule in policy.tariff]


def words(rule: Rule, lang: Lang) -> str:
    """
    >>> words(Rule(1, customer_class="academic", window=Window(WORKDAYS, 1320, 360), assisted=True), Lang.EN)
    'Academic organisations · Mon–Fri 22:00–06:00 · With an operator'
    """
    _, parts = translator(lang), []
    if rule.customer_class:
        parts.append(_(GROUP[GROUPS.get(rule.customer_class, rule.customer_class)]))
    if rule.window:
        parts.append(_window(rule.window, lang))
    if rule.assisted is not None:
        parts.append(_("With an operator") if rule.assisted else _("Without an operator"))
    if rule.from_hours is not None:
        parts.append(_("From {count} h booked").format(count=as_decimal(rule.from_hours)))
    return " · ".join(parts)


def _window(window: Window, lang: Lang) -> str:
    days = days_words(window.weekdays, lang) if window.weekdays != WEEK else ""
    whole = Window()
    if (window.start_min, window.end_min) == (whole.start_min, whole.end_min):
        return days or translator(lang)("Every day")
    return f"{days} {clock(window.start_min)}–{clock(window.end_min)}".strip()


def tax_words(policy: Policy, lang: Lang) -> str:
    """How prices stand to the tax; empty where nothing is said of one."""
    _, rate = translator(lang), as_decimal(policy.tax.rate * 100)
    if not policy.tax.rate:
        return ""
    if policy.tax.mode is Mode.ADDED:
        return _("{percent} per cent are added to the prices").format(percent=rate)
    return _("{percent} per cent are within the prices").format(percent=rate)
