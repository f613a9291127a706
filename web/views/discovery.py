"""What discovery messages of Home Assistant come to, before a meter is connected by them."""

from collections.abc import Sequence
from dataclasses import dataclass

from web.views.frame import EMPTY_FORM, Form


@dataclass(frozen=True, slots=True)
class TakenRow:
    """`what` is power, energy or online; `scale` brings the value to W or Wh."""

    what: str
    name: str
    topic: str
    path: str
    scale: float


@dataclass(frozen=True, slots=True)
class LeftRow:
    name: str
    why: str
    detail: str


@dataclass(frozen=True, slots=True)
class DiscoveryView:
    """Part of GET/POST /{lang}/desk/resources/{id}/devices; `taken` is empty until something was looked at."""

    taken: Sequence[TakenRow] = ()
    left_out: Sequence[LeftRow] = ()
    written: str = ""
    """The mapping as text."""
    form: Form = EMPTY_FORM
    """meter, main, discovery, take."""


NO_DISCOVERY = DiscoveryView()
