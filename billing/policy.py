"""How a resource's use is billed: one value, parsed from JSON with decimal strings, frozen with a hash at booking."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum
from fractions import Fraction
from typing import Any

from billing.exact import as_decimal, read_rate, read_whole
from billing.tariffs import rules, taxes
from billing.tariffs.choosing import PriceList, for_buyer
from billing.tariffs.rules import CLASSES, Rule
from billing.tariffs.taxes import NO_TAX, Tax
from marketplace.money import Money
from marketplace.refusals import Invalid

MOST_MINUTES = 31 * 24 * 60
MOST_RATE = Fraction(100)
MOST_TIERS = 20
OVERRUN_MAX_MIN = 60
"""Longest run past its end that devices attribute to a booking (their `overrun_max`, 3600 s)."""


class Basis(StrEnum):
    """What the billed minutes are counted from."""

    ACTUAL = "actual"
    BOOKED = "booked"
    MAX = "max"


@dataclass(frozen=True, slots=True)
class Tier:
    """Cancelling at least so long before the start costs `rate` of the quote: elapsed hours, or local calendar days."""

    rate: Fraction
    hours: Fraction | None = None
    days: int | None = None

    def limit(self, start: datetime, zone: tzinfo) -> datetime:
        """The last instant that still is in time; days are counted on the wall clock of `zone`."""
        if self.days is not None:
            wall = start.astimezone(zone).replace(tzinfo=None) - timedelta(days=self.days)
            return wall.replace(tzinfo=zone)
        return start - timedelta(microseconds=int((self.hours or Fraction(0)) * 3_600_000_000))


DEFAULT_TIERS = (
    Tier(Fraction(0), hours=Fraction(48)),
    Tier(Fraction(1, 4), hours=Fraction(24)),
    Tier(Fraction(1, 2), hours=Fraction(0)),
)


@dataclass(frozen=True, slots=True)
class Policy:
    """All that decides a bill besides price and use; the defaults are the product's default policy."""

    basis: Basis = Basis.ACTUAL
    increment_min: int = 15
    minimum_min: int = 30
    rounding: str = "ceil"
    grace_min: int = 10
    overtime_mult: Fraction = Fraction(3, 2)
    overtime_max_min: int = OVERRUN_MAX_MIN
    unused_rate: Fraction = Fraction(0)
    unused_free_if_rebooked: bool = False
    no_show_after_min: int = 30
    no_show_rate: Fraction = Fraction(1, 2)
    cancel_tiers: tuple[Tier, ...] = DEFAULT_TIERS
    setup_billed: bool = False
    cleanup_billed: bool = False
    fee_rate: Fraction = Fraction(2, 25)
    dispute_hours: int = 72
    late_data_hours: int = 24
    class_prices: tuple[tuple[str, int], ...] = ()
    """Per hour, minor units of the listing's currency; a class that is not here pays the list price."""
    tariff: tuple[Rule, ...] = ()
    """Prices under conditions, beside those by class; no two of them that name equally many can both apply."""
    tax: Tax = NO_TAX
    """Of everything that is charged."""

    def cancellation_rate(self, start: datetime, cancelled_at: datetime, zone: tzinfo) -> Fraction:
        """The lowest rate of the tiers that are still in time; later than all of them, what a no-show costs.

        No tiers at all mean that cancelling is free.
        """
        if not self.cancel_tiers:
            return Fraction(0)
        in_time = [tier.rate for tier in self.cancel_tiers if cancelled_at <= tier.limit(start, zone)]
        return min(in_time, default=self.no_show_rate)

    def free_until(self, start: datetime, zone: tzinfo) -> datetime | None:
        """The last instant at which cancelling costs nothing; None where it always costs."""
        if not self.cancel_tiers:
            return start
        return max((tier.limit(start, zone) for tier in self.cancel_tiers if not tier.rate), default=None)


DEFAULT = Policy()

MINUTES = {"increment_min": 1, "minimum_min": 0, "grace_min": 0, "overtime_max_min": 0, "no_show_after_min": 0}
HOURS = {"dispute_hours": 720, "late_data_hours": 720}
RATES = {
    "overtime_mult": MOST_RATE,
    "unused_rate": Fraction(1),
    "no_show_rate": Fraction(1),
    "fee_rate": Fraction(1),
}
FLAGS = ("unused_free_if_rebooked", "setup_billed", "cleanup_billed")
PRICES = ("class_prices", "tariff")
"""Fields that say what time costs; a document leaves them and `tax` out where they are empty."""


def parse(document: Mapping[str, Any]) -> Policy:
    """A policy from JSON; what is not named keeps its default.

    >>> parse({"increment_min": 1, "no_show_rate": "0.3"}).no_show_rate
    Fraction(3, 10)

    Raises: Invalid (the field and why).
    """
    known = {field.name for field in fields(Policy)}
    for name in document:
        if name not in known:
            raise Invalid(field=f"policy.{name}", reason="no such field of a policy")
    values = {name: _value(name, value) for name, value in document.items() if value is not None and name != "tariff"}
    return _with_tariff(Policy(**values), document.get("tariff") or ())


def _with_tariff(policy: Policy, tariff: Any) -> Policy:
    """A rule that names a class and nothing else is a price by class. Raises: Invalid."""
    found = rules.read("policy.tariff", tariff, policy.class_prices)
    if len(found) + len(policy.class_prices) > rules.MOST_RULES:
        raise Invalid(field="policy.tariff", reason=f"must be a list of at most {rules.MOST_RULES} rules")
    plain = {rule.customer_class: rule.price for rule in found if rule.customer_class and rule.specificity == 1}
    prices = dict(policy.class_prices) | plain
    ordered = tuple((kind, prices[kind]) for kind in CLASSES if kind in prices)
    kept = tuple(rule for rule in found if not (rule.customer_class and rule.specificity == 1))
    return replace(policy, class_prices=ordered, tariff=kept)


def _value(name: str, value: Any) -> Any:  # noqa: PLR0911 - one return per kind of field reads best
    path = f"policy.{name}"
    if name == "basis":
        return _basis(path, value)
    if name == "rounding":
        if value != "ceil":
            raise Invalid(field=path, reason="only ceil is offered")
        return value
    if name == "cancel_tiers":
        return _tiers(path, value)
    if name == "class_prices":
        return _class_prices(path, value)
    if name == "tax":
        return taxes.read(path, value)
    if name in FLAGS:
        return _flag(path, value)
    if name in RATES:
        return read_rate(path, value, most=RATES[name])
    if name in HOURS:
        return read_whole(path, value, least=0, most=HOURS[name])
    return read_whole(path, value, least=MINUTES[name], most=MOST_MINUTES)


def _basis(path: str, value: Any) -> Basis:
    try:
        return Basis(value)
    except ValueError:
        raise Invalid(field=path, reason="must be actual, booked or max") from None


def _class_prices(path: str, value: Any) -> tuple[tuple[str, int], ...]:
    if not isinstance(value, Mapping) or set(value) - set(CLASSES):
        raise Invalid(field=path, reason=f"must be prices by {', '.join(CLASSES)}")
    prices = {kind: value[kind] for kind in CLASSES if value.get(kind) is not None}
    return tuple((kind, read_whole(f"{path}.{kind}", price, least=0, most=10**13)) for kind, price in prices.items())


def _flag(path: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise Invalid(field=path, reason="must be true or false")
    return value


def _tiers(path: str, value: Any) -> tuple[Tier, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) > MOST_TIERS:
        raise Invalid(field=path, reason=f"must be a list of at most {MOST_TIERS} tiers")
    tiers = tuple(_tier(f"{path}[{i}]", entry) for i, entry in enumerate(value))
    limits = [(tier.hours, tier.days) for tier in tiers]
    if len(set(limits)) != len(limits):
        raise Invalid(field=path, reason="two tiers have the same limit")
    return tiers


def _tier(path: str, value: Any) -> Tier:
    if not isinstance(value, Mapping) or set(value) - {"hours", "days", "rate"} or "rate" not in value:
        raise Invalid(field=path, reason='must be {"hours" or "days", "rate"}')
    if (value.get("hours") is None) == (value.get("days") is None):
        raise Invalid(field=path, reason="give either hours or days")
    rate = read_rate(f"{path}.rate", value["rate"], most=Fraction(1))
    if value.get("days") is not None:
        return Tier(rate, days=read_whole(f"{path}.days", value["days"], least=0, most=366))
    return Tier(rate, hours=read_rate(f"{path}.hours", value["hours"], most=Fraction(366 * 24)))


def as_json(policy: Policy) -> dict[str, Any]:
    """The snapshot: every field, rates as decimal strings, prices and tax where there are any; `parse` reads it back."""
    document = {field.name: getattr(policy, field.name) for field in fields(Policy)}
    document["basis"] = policy.basis.value
    document["cancel_tiers"] = [_tier_json(tier) for tier in policy.cancel_tiers]
    prices, tariff, tax = (document.pop(name) for name in (*PRICES, "tax"))
    if prices:
        document["class_prices"] = dict(prices)
    if tariff:
        document["tariff"] = [rules.as_json(one) for one in tariff]
    if tax.rate:
        document["tax"] = taxes.as_json(tax)
    return {name: as_decimal(value) if isinstance(value, Fraction) else value for name, value in document.items()}


def _tier_json(tier: Tier) -> dict[str, Any]:
    limit: dict[str, Any] = {"days": tier.days} if tier.hours is None else {"hours": as_decimal(tier.hours)}
    return {**limit, "rate": as_decimal(tier.rate)}


def price_list(
    policy: Policy,
    listed: Money,
    *,
    customer_class: str | None,
    assisted: bool,
    zone: tzinfo,
    buffers: tuple[timedelta, timedelta] = (timedelta(), timedelta()),
) -> PriceList:
    """What time costs a buyer of that class; `buffers` are set-up and cleaning, whether or not they are billed."""
    (before, after), own = buffers, dict(policy.class_prices).get(customer_class or "")
    return PriceList(
        hour=listed if own is None else Money(own, listed.currency),
        rules=for_buyer(policy.tariff, customer_class=customer_class, assisted=assisted),
        zone=zone,
        setup=before if policy.setup_billed else timedelta(),
        cleanup=after if policy.cleanup_billed else timedelta(),
        tax=policy.tax,
    )


def without_prices(policy: Policy) -> Policy:
    """All but what time costs: what holds for one's own house, which pays nothing."""
    return replace(policy, class_prices=(), tariff=())


def fingerprint(document: Mapping[str, Any]) -> str:
    """SHA-256 of the snapshot's canonical JSON."""
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
