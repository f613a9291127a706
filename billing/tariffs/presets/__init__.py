"""Rules of real institutions as starting points, a file each: what a public page says, in our words, with address and date.

Facts only. Prices are read as shares of the institution's own list price, so that they fit any listing in any currency.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

from marketplace.money import Money


@dataclass(frozen=True, slots=True)
class Preset:
    """What one institution does; `dated` is from when on, where its page says so."""

    key: str
    institution: str
    what: str
    source: str
    price_per_hour: str
    """Its list price, to which the others are in proportion; 100 where its page names none."""
    currency: str | None = None
    dated: date | None = None
    leaves_out: str | None = None
    """What of its rules a policy cannot say."""
    prices: Mapping[str, str] = field(default_factory=dict)
    """By class of customer."""
    tariff: Sequence[Mapping[str, Any]] = ()
    policy: Mapping[str, Any] = field(default_factory=dict)

    def terms(self, listed: Money) -> dict[str, Any]:
        """The policy's fields at another list price, as `policy.parse` reads them."""
        whole = Fraction(self.price_per_hour)
        prices = {kind: listed.times(Fraction(price) / whole).minor for kind, price in self.prices.items()}
        rules = [{**rule, "price": listed.times(Fraction(rule["price"]) / whole).minor} for rule in self.tariff]
        return {**self.policy, **({"class_prices": prices} if prices else {}), **({"tariff": rules} if rules else {})}


@cache
def presets() -> Mapping[str, Preset]:
    """By key, in the order of their institutions."""
    files = Path(__file__).parent.glob("*.toml")
    found = [Preset(key=file.stem, **tomllib.loads(file.read_text(encoding="utf-8"))) for file in files]
    return {one.key: one for one in sorted(found, key=lambda one: one.institution)}
