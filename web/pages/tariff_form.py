"""The lines of a tariff as they are typed into the policy's editor."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from billing.tariffs.rules import CLASSES, MOST_RULES, WEEK
from marketplace.refusals import Invalid
from web.pages.bookings import read_money
from web.pages.drawing import Fields, text

CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
HOURS = re.compile(r"[0-9]{1,4}(\.[0-9]{1,18})?")
MOST_HOURS = 366 * 24
COLUMNS = {"from": "begins", "to": "ends", "from_hours": "step"}
"""Of a rule's fields that a column of their own holds; the others are told beside the price."""
CONDITIONS = ("class", "days", "begins", "ends", "help", "step")


@dataclass(slots=True)
class Lines:
    """The rules typed, in their order, with the number of each line, and what is wrong with them."""

    rules: list[dict[str, Any]] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    wrong: list[Invalid] = field(default_factory=list)

    def told(self, refusal: Invalid) -> Invalid:
        """A refusal of the tariff by the line and the column that it is about."""
        values: Mapping[str, Any] = refusal.values
        path = re.fullmatch(r"policy\.tariff\[(\d+)\](?:.*\.(\w+))?", str(values["field"]))
        if path is None or int(path.group(1)) >= len(self.numbers):
            return refusal
        name = f"{COLUMNS.get(path.group(2) or '', 'each')}_{self.numbers[int(path.group(1))]}"
        both = {key: self.numbers[values[key] - 1] + 1 for key in ("one", "other") if key in values}
        return Invalid(field=name, reason=str(values["reason"]), **both)


def read(fields: Fields, currency: str) -> Lines | None:
    """None where the form that was sent has no such lines."""
    if not any(name.startswith("each_") for name in fields):
        return None
    found = Lines()
    for n in range(MOST_RULES):
        if text(fields, f"each_{n}") or any(text(fields, f"{name}_{n}") for name in CONDITIONS):
            found.rules.append(_rule(fields, n, currency, found.wrong))
            found.numbers.append(n)
    return found


def _rule(fields: Fields, n: int, currency: str, wrong: list[Invalid]) -> dict[str, Any]:
    kind, helped = text(fields, f"class_{n}"), text(fields, f"help_{n}")
    window, step = _window(fields, n, wrong), text(fields, f"step_{n}")
    if step and (not HOURS.fullmatch(step) or Decimal(step) > MOST_HOURS):
        wrong.append(Invalid(field=f"step_{n}", reason="must be {low} to {high}", low=0, high=MOST_HOURS))
        step = ""
    named = {"class": kind if kind in CLASSES else None, "window": window, "assisted": {"1": True, "0": False}.get(helped)}
    named["from_hours"] = format(Decimal(step).normalize(), "f") if step else None
    return {**{name: value for name, value in named.items() if value is not None}, "price": _price(fields, n, currency, wrong)}


def _price(fields: Fields, n: int, currency: str, wrong: list[Invalid]) -> int:
    try:
        price = read_money(text(fields, f"each_{n}"), currency)
    except Invalid as refusal:
        wrong.append(Invalid(field=f"each_{n}", reason=str(refusal.values["reason"])))
        return 0
    if price.minor < 0:
        wrong.append(Invalid(field=f"each_{n}", reason="is negative"))
    return max(price.minor, 0)


def _window(fields: Fields, n: int, wrong: list[Invalid]) -> dict[str, Any] | None:
    """None where a line is for any time; midnight as an end is that of the same day."""
    days = [int(day) for day in text(fields, f"days_{n}").split(",") if day.isdecimal() and int(day) in WEEK]
    found: dict[str, Any] = {"weekdays": days} if days else {}
    for column, name in (("begins", "from"), ("ends", "to")):
        at = text(fields, f"{column}_{n}")
        if at and not CLOCK.fullmatch(at):
            wrong.append(Invalid(field=f"{column}_{n}", reason="not a time"))
        elif at:
            found[name] = at
    return found or None
