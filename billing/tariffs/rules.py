"""The rules of a tariff: what an hour costs under conditions, and which rules stand in each other's way.

Four conditions can be named: the customer's class, a window of the week on the resource's wall clock, whether an operator stands
by, and booked hours from a step on. Rules that differ in nothing but `from_hours` are steps of one stair: a step holds until the
next begins. A price by class is a rule with one condition.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import combinations
from typing import Any

from billing.exact import as_decimal, read_rate, read_whole
from booking.availability import DAY_MIN, Hours
from marketplace.refusals import Invalid

CLASSES = ("internal", "academic", "industry", "partner")
"""Of customers."""
WEEK = tuple(range(7))
"""0 = Monday."""
MOST_RULES = 100
MOST_MINOR = 10**13
MOST_HOURS = Fraction(366 * 24)
RULE = frozenset({"class", "window", "assisted", "from_hours", "price"})
WINDOW = frozenset({"weekdays", "from", "to"})


@dataclass(frozen=True, slots=True)
class Window:
    """From and to in minutes of the wall clock, on each of `weekdays`; an end that is no later is of the next day."""

    weekdays: tuple[int, ...] = WEEK
    start_min: int = 0
    end_min: int = DAY_MIN

    @property
    def hours(self) -> tuple[Hours, ...]:
        """As opening hours, cut at midnight.

        >>> [(span.weekday, span.open_min, span.close_min) for span in Window((6,), 1320, 360).hours]
        [(6, 1320, 1440), (0, 0, 360)]
        """
        if self.start_min < self.end_min:
            return tuple(Hours(day, self.start_min, self.end_min) for day in self.weekdays)
        evening = [Hours(day, self.start_min, DAY_MIN) for day in self.weekdays if self.start_min < DAY_MIN]
        return (*evening, *(Hours((day + 1) % 7, 0, self.end_min) for day in self.weekdays if self.end_min))

    def meets(self, other: "Window") -> bool:
        """Whether some minute of the week is in both."""
        return any(
            one.weekday == two.weekday and one.open_min < two.close_min and two.open_min < one.close_min
            for one in self.hours
            for two in other.hours
        )


@dataclass(frozen=True, slots=True)
class Rule:
    """What an hour costs, minor units of the listing's currency, where all the conditions it names hold."""

    price: int
    customer_class: str | None = None
    window: Window | None = None
    assisted: bool | None = None
    from_hours: Fraction | None = None

    @property
    def specificity(self) -> int:
        """How many conditions it names."""
        return sum(one is not None for one in (self.customer_class, self.window, self.assisted, self.from_hours))

    @property
    def stair(self) -> tuple[object, ...]:
        """All but its step: rules with the same are steps of one stair."""
        return (self.customer_class, self.window, self.assisted)


def by_class(prices: Sequence[tuple[str, int]]) -> tuple[Rule, ...]:
    """Prices by class as the rules that they are."""
    return tuple(Rule(price, customer_class=kind) for kind, price in prices)


def ambiguous(rules: Sequence[Rule]) -> tuple[int, int] | None:
    """The first two, by their places, that name equally many conditions and can both apply."""
    return _ambiguous(tuple(rules))


@lru_cache(maxsize=1024)
def _ambiguous(rules: tuple[Rule, ...]) -> tuple[int, int] | None:
    """Frozen quotes are read again and again, and a hundred rules take a quarter of a second."""
    ends = [_ends(rule, rules) for rule in rules]
    for a, b in combinations(range(len(rules)), 2):
        one, other = rules[a], rules[b]
        if one.specificity == other.specificity and _can_both(one, other) and _hours_meet((one, ends[a]), (other, ends[b])):
            return a, b
    return None


def _ends(rule: Rule, rules: Sequence[Rule]) -> Fraction | None:
    """The booked hours from which on the next step of its stair holds; None where it is the last."""
    if rule.from_hours is None:
        return None
    steps = (one.from_hours for one in rules if one.stair == rule.stair and one.from_hours is not None)
    return min((step for step in steps if step > rule.from_hours), default=None)


def _can_both(one: Rule, other: Rule) -> bool:
    """By class, window and assistance."""
    if None not in (one.customer_class, other.customer_class) and one.customer_class != other.customer_class:
        return False
    if None not in (one.assisted, other.assisted) and one.assisted != other.assisted:
        return False
    return one.window is None or other.window is None or one.window.meets(other.window)


def _hours_meet(one: tuple[Rule, Fraction | None], other: tuple[Rule, Fraction | None]) -> bool:
    starts = max(one[0].from_hours or Fraction(0), other[0].from_hours or Fraction(0))
    return all(end is None or starts < end for end in (one[1], other[1]))


def read(path: str, value: Any, prices: Sequence[tuple[str, int]]) -> tuple[Rule, ...]:
    """A tariff from JSON, beside the policy's prices by class. Raises: Invalid (the field; both rows where two are ambiguous)."""
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) > MOST_RULES:
        raise Invalid(field=path, reason=f"must be a list of at most {MOST_RULES} rules")
    rules = tuple(_rule(f"{path}[{i}]", entry) for i, entry in enumerate(value))
    if found := ambiguous([*by_class(prices), *rules]):
        classes = len(prices)
        one, other = (n - classes + 1 if n >= classes else f"class_prices.{prices[n][0]}" for n in found)
        reason = "rows {one} and {other} name equally many conditions and can both apply"
        raise Invalid(field=f"{path}[{found[1] - classes}]", reason=reason, one=one, other=other)
    return rules


def _rule(path: str, value: Any) -> Rule:
    if not isinstance(value, Mapping) or set(value) - RULE or value.get("price") is None:
        raise Invalid(field=path, reason='must be {"price", and of "class", "window", "assisted", "from_hours" what it is for}')
    kind, assisted, step = value.get("class"), value.get("assisted"), value.get("from_hours")
    if kind is not None and kind not in CLASSES:
        raise Invalid(field=f"{path}.class", reason=f"must be one of {', '.join(CLASSES)}")
    if assisted is not None and not isinstance(assisted, bool):
        raise Invalid(field=f"{path}.assisted", reason="must be true or false")
    rule = Rule(
        price=read_whole(f"{path}.price", value["price"], least=0, most=MOST_MINOR),
        customer_class=kind,
        window=None if value.get("window") is None else _window(f"{path}.window", value["window"]),
        assisted=assisted,
        from_hours=None if step is None else read_rate(f"{path}.from_hours", step, most=MOST_HOURS),
    )
    if not rule.specificity:
        raise Invalid(field=path, reason="name a condition: what holds without one is the list price")
    return rule


def _window(path: str, value: Any) -> Window:
    if not isinstance(value, Mapping) or set(value) - WINDOW:
        raise Invalid(field=path, reason='must be {"weekdays", "from", "to"}')
    days = value.get("weekdays")
    if days is not None and (not isinstance(days, list | tuple) or not days or any(type(day) is not int for day in days)):
        raise Invalid(field=f"{path}.weekdays", reason="must be a list of weekdays, 0 is Monday")
    chosen = WEEK if days is None else tuple(sorted(set(days)))
    if set(chosen) - set(WEEK):
        raise Invalid(field=f"{path}.weekdays", reason="must be a list of weekdays, 0 is Monday")
    start, end = _minute(f"{path}.from", value.get("from"), 0), _minute(f"{path}.to", value.get("to"), DAY_MIN)
    if start in {end, DAY_MIN}:
        raise Invalid(field=f"{path}.to", reason="must differ from its start")
    return Window(chosen, start, end or DAY_MIN)


def _minute(path: str, value: Any, default: int) -> int:
    """Of the day, from "HH:MM"; "24:00" ends it."""
    if value is None:
        return default
    hour, colon, minute = value.partition(":") if isinstance(value, str) else ("", "", "")
    if colon and len(hour) == len(minute) == 2 and (hour + minute).isascii() and (hour + minute).isdigit():
        found = int(hour) * 60 + int(minute)
        if int(minute) < 60 and found <= DAY_MIN:
            return found
    raise Invalid(field=path, reason='must be a time of day, such as "22:00"')


def as_json(rule: Rule) -> dict[str, Any]:
    """What `read` reads back; conditions that it does not name are left out."""
    window = rule.window and {
        "weekdays": list(rule.window.weekdays),
        "from": clock(rule.window.start_min),
        "to": clock(rule.window.end_min),
    }
    step = None if rule.from_hours is None else as_decimal(rule.from_hours)
    named = {"class": rule.customer_class, "window": window, "assisted": rule.assisted, "from_hours": step}
    return {**{name: value for name, value in named.items() if value is not None}, "price": rule.price}


def clock(minute: int) -> str:
    """
    >>> clock(1320), clock(1440)
    ('22:00', '24:00')
    """
    return f"{minute // 60:02d}:{minute % 60:02d}"
