"""A meter on its way from nothing to the first confirmed minutes: what is typed into it, what came, what was measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from web.charts import PowerGraph
from web.qr import Code
from web.views.device import ClockView, WhatIf
from web.views.frame import EMPTY_FORM, Choice, Form, Live
from web.views.setup import Setup


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """Messages that were turned away for one reason, in words, and what to do about it."""

    reason: str
    remedy: str
    count: int
    last_at: datetime
    topic: str
    detail: str


@dataclass(frozen=True, slots=True)
class ArrivalView:
    """What has come so far. `stage`: nothing, rejected, understood, silent (it was understood, and then nothing came)."""

    stage: str
    waited_min: int
    long: bool
    """So long that something is wrong."""
    last_at: datetime | None
    ago_s: int
    power_w: float | None
    energy_wh: float | None
    state: str | None
    interval_s: float | None
    clock: ClockView | None
    rejected: Sequence[TurnedAway]
    """Within the last hour, since it last was understood."""
    wrong_logins: int
    """Of whomever, since the meter was registered, within the last hour: the broker does not say whose."""


@dataclass(frozen=True, slots=True)
class MeasuringView:
    """Thresholds by measuring. `stage`: early (nothing came yet), by_state (it tells its state), begin, idle, between, run,
    proposed, unfit, saved."""

    stage: str
    span_s: int = 60
    """How long a half takes with this meter."""
    left_s: int = 0
    count: int = 0
    """Powers that were heard in the present half."""
    too_slow: bool = False
    idle_w: float | None = None
    run_w: float | None = None
    unfit: str = ""
    graph: PowerGraph | None = None
    form: Form = EMPTY_FORM
    """p_on, p_off (W), stale_after, max_gap (s)."""


@dataclass(frozen=True, slots=True)
class ConnectView:
    """GET/POST /{lang}/desk/devices/{id}/connect."""

    id: str
    name: str
    family: str
    kinds: Sequence[Choice]
    active: bool
    resource_id: str
    resource: str
    zone: str
    address: str
    """Of this page."""
    page_code: Code
    """The same, for a phone beside the machine."""
    setup: Setup
    arrival: ArrivalView
    measuring: MeasuringView
    live: Live
    live_url: str
    live_id: str
    """What the live stream calls it: the equipment where it is its only meter, else the meter itself."""
    confirmed_s: int | None
    """Since the thresholds were saved; None before."""
    polls: bool
    """Whether the page asks again by itself."""
    looks: int
    """How often it has."""
    tired: bool
    """So often that it rests."""
    slower: str
    """What makes the plug report once a minute, where it does so more often than it must; else empty."""
    foreseen: WhatIf | None = None

    @property
    def steps(self) -> Sequence[tuple[str, str]]:
        """(code of web.labels CONNECT, done | now | todo)."""
        heard = self.arrival.stage in ("understood", "silent")
        saved = self.measuring.stage in ("saved", "by_state")
        done = [True, heard, heard, saved, bool(self.confirmed_s)]
        now = done.index(False) if False in done else len(done)
        codes = ("kind", "setup", "arrival", "measure", "done")
        return [(code, "done" if done[at] else "now" if at == now else "todo") for at, code in enumerate(codes)]
