"""The stand-in's memory: one account's objects, its events, its clock and what is due on it."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import heappop, heappush
from typing import Any

KEPT_EVENTS = 500

Thing = dict[str, Any]
"""An object as Stripe shows it; under `stand_in` is what only the stand-in knows of it."""

Due = tuple[float, int, str, str]
"""When, in which order, what (a name in `passing.DUE`), and of which object."""


class Refused(Exception):
    """An error answer: status, and the body's `error`. `about` are further fields of it."""

    def __init__(
        self,
        status: int,
        code: str | None,
        message: str,
        kind: str = "invalid_request_error",
        about: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.body = status, {"error": {"type": kind, "code": code, "message": message, **(about or {})}}


@dataclass
class Shop:
    """One account at the provider. `read_clock` is the real time; `ahead` moves the shop's own."""

    read_clock: Callable[[], datetime]
    ahead: timedelta = timedelta()
    address: str = ""
    """Where the shop's own pages are."""

    fee_delay: timedelta = timedelta()
    """So much later than an automatic capture its fee is known."""

    things: dict[str, Thing] = field(default_factory=dict)
    kinds: dict[str, dict[str, Thing]] = field(default_factory=lambda: defaultdict(dict))
    """The same objects by kind."""

    events: list[Thing] = field(default_factory=list)
    fresh: list[Thing] = field(default_factory=list)
    """Events that were not yet sent to the webhook's address."""

    due: list[Due] = field(default_factory=list)
    """A heap."""

    counter: int = 0

    @property
    def now(self) -> datetime:
        return self.read_clock() + self.ahead

    def dump(self) -> dict[str, Any]:
        """All of it as plain values, the newest events only."""
        return {
            "ahead_s": self.ahead.total_seconds(),
            "fee_delay_s": self.fee_delay.total_seconds(),
            "counter": self.counter,
            "things": self.things,
            "events": self.events[-KEPT_EVENTS:],
            "due": self.due,
        }

    def load(self, dumped: Mapping[str, Any]) -> None:
        """Back to what `dump` gave."""
        self.ahead, self.counter = timedelta(seconds=dumped["ahead_s"]), dumped["counter"]
        self.fee_delay = timedelta(seconds=dumped.get("fee_delay_s", 0))
        self.events = dumped["events"]
        self.due = [(at, order, name, identity) for at, order, name, identity in dumped.get("due", [])]
        for thing in dumped["things"].values():
            self._keep(thing)

    def _keep(self, thing: Thing) -> None:
        self.things[thing["id"]] = self.kinds[thing["object"]][thing["id"]] = thing

    def all(self, kind: str) -> list[Thing]:
        return list(self.kinds[kind].values())

    def get(self, kind: str, identity: str) -> Thing:
        thing = self.kinds[kind].get(identity)
        if thing is None:
            raise Refused(404, "resource_missing", f"No such {kind}: '{identity}'")
        return thing

    def new(self, kind: str, prefix: str, **values: Any) -> Thing:
        self.counter += 1
        identity = f"{prefix}_test{self.counter:014d}"
        thing = {"id": identity, "object": kind, "created": int(self.now.timestamp()), "livemode": False, **values}
        self._keep(thing)
        return thing

    def later(self, at: datetime, name: str, thing: Thing) -> None:
        """Let `name` happen to the object at a time of the shop's clock."""
        self.counter += 1
        heappush(self.due, (at.timestamp(), self.counter, name, thing["id"]))

    def next_due(self) -> Due | None:
        """What is due by now, taken out, the earliest first; None where nothing is."""
        return heappop(self.due) if self.due and self.due[0][0] <= self.now.timestamp() else None

    def tell(self, kind: str, thing: Thing) -> None:
        self.counter += 1
        body = {
            "id": f"evt_test{self.counter:014d}",
            "object": "event",
            "api_version": "2026-10-28.endive",
            "created": int(self.now.timestamp()),
            "data": {"object": dict(thing)},
            "livemode": False,
            "type": kind,
        }
        self.events.append(body)
        self.fresh.append(body)

    def book(self, kind: str, source: Thing, amount: int, fee: int) -> Thing:
        """Move the account's balance, and say why."""
        values = {"amount": amount, "fee": fee, "net": amount - fee, "currency": source["currency"]}
        return self.new("balance_transaction", "txn", type=kind, source=source["id"], status="available", **values)
