"""The editor of a resource's policy: what cancelling costs, what is billed; with what a change would have done."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from marketplace.money import Money
from marketplace.slot import Slot
from web.views.frame import Badge, Choice, Form


@dataclass(frozen=True, slots=True)
class RebilledRow:
    """A bill of the last quarter that would have been another."""

    id: str
    customer: str
    slot: Slot
    before: Money
    after: Money


@dataclass(frozen=True, slots=True)
class EffectView:
    """What the policy as typed would have done; `more` bills beside those listed."""

    span: Slot
    bills: int
    changed: int
    before: Sequence[Money]
    """All of them together, by currency."""
    after: Sequence[Money]
    all_seen: bool
    rows: Sequence[RebilledRow]
    more: int


@dataclass(frozen=True, slots=True)
class PresetView:
    """Whose rules fill the form: what its page says of which equipment, from when on if it says so."""

    institution: str
    what: str
    source: str
    dated: date | None
    leaves_out: str | None


@dataclass(frozen=True, slots=True)
class TariffChoices:
    """What the columns of a tariff's lines offer, how prices stand to a tax, whose rules one may start from."""

    classes: Sequence[Choice]
    days: Sequence[Choice]
    helps: Sequence[Choice]
    modes: Sequence[Choice]
    presets: Sequence[Choice]
    preset: PresetView | None


@dataclass(frozen=True, slots=True)
class PolicyView:
    """GET/POST /{lang}/desk/resources/{id}/policy. Field names and values are in `form`; those of a tier end in `_{number}`."""

    id: str
    name: str
    zone: str
    number: int
    """Of the version that is edited; 0 where the usual terms hold, of which none is stored."""
    tiers: Sequence[int]
    units: Sequence[Choice]
    bases: Sequence[Choice]
    prices: Sequence[int]
    """Lines of the tariff: `class`, `days`, `begins`, `ends`, `help`, `step` and the price `each`."""
    currency: str
    tariff: TariffChoices
    can_edit: bool
    live: Badge
    form: Form
    effect: EffectView | None = None
    seen: str = ""
    """Sent back with what was shown: only that is saved."""
