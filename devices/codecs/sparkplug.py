"""Sparkplug B 3.0: an edge node tells its metrics' names at its birth, later their aliases alone; numbers tell what is missing.

One reader follows one edge node. What it knows comes from the births it has seen: a message that it cannot place is turned away,
and a new birth is wanted. Order is restored by the sequence number; a hole is waited for, for two seconds of receipt.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from devices.codecs.mapping import Message, joined, sample_of
from devices.codecs.sparkplug_wire import parse, value_of, wanted_birth
from devices.codecs.strict import Unreadable, read_epoch_ms
from devices.codecs.work import Work
from devices.readings import Channel, Command, Envelope, Followed, Reading, Reason, Rejected, Told

TOPIC = re.compile(
    r"(?:.+/)?spBv1\.0/(?P<group>[^/]+)/(?P<kind>[ND](?:BIRTH|DATA|DEATH|CMD))/(?P<node>[^/]+)(?:/(?P<device>[^/]+))?"
)
STATE = re.compile(r"(?:.+/)?spBv1\.0/STATE/[^/]+")
UTC = ZoneInfo("UTC")
SEQUENCE = 256
HOLE = timedelta(seconds=2)
"""How long a missing number is waited for."""

BD_SEQ = "bdSeq"


@dataclass(frozen=True, slots=True)
class Birth:
    """What an alias stands for."""

    name: str
    datatype: int
    device: str


@dataclass(slots=True)
class Node:
    """What is known of one edge node."""

    message: Message
    """Which metrics are power, energy and state."""
    aliases: dict[int, Birth] = field(default_factory=dict)
    types: dict[tuple[str, str], int] = field(default_factory=dict)
    """By device and name."""
    born: set[str] = field(default_factory=set)
    """The devices that have been born since the node was; the node itself is ""."""
    session: int | None = None
    """`bdSeq` of its last birth."""
    last: int | None = None
    held: dict[int, tuple[Envelope, Any, re.Match[str]]] = field(default_factory=dict)
    held_since: datetime | None = None
    wants_birth: bool = False
    """It said what it did not introduce, or something is missing."""

    def follow(self, envelopes: Iterable[Envelope], *, since: datetime | None = None) -> Followed:
        """Each message with what it says, in the order of the node's own numbers; `envelopes` are in order of receipt.

        Of those before `since` only births are among them: the number of the first one after them says nothing.
        """
        for envelope in envelopes:
            if since is not None and envelope.received_at >= since:
                yield from self._give_up()
                since, self.last = None, None
            if self.held_since is not None and envelope.received_at - self.held_since > HOLE:
                yield from self._give_up()
            yield from self._take(envelope)
        yield from self._give_up()

    def _take(self, envelope: Envelope) -> Followed:
        try:
            match, payload = opened(envelope.topic, envelope.payload)
        except Unreadable as error:
            yield envelope, Rejected(error.reason, error.detail)
            return
        if match is None or match["kind"] in {"NCMD", "DCMD"}:
            yield envelope, []
        elif match["kind"] == "NDEATH":
            yield envelope, self._end(payload)
        elif match["kind"] == "NBIRTH":
            yield from self._give_up()
            yield envelope, self._birth(payload)
            self.last = payload.seq % SEQUENCE if payload.HasField("seq") else None
        elif self.last is None or not payload.HasField("seq"):
            yield envelope, self._read(payload, match)
            self.last = payload.seq % SEQUENCE if payload.HasField("seq") else None
        else:
            yield from self._in_order(envelope, payload, match)

    def _in_order(self, envelope: Envelope, payload: Any, match: re.Match[str]) -> Followed:
        number = payload.seq % SEQUENCE
        ahead = (number - (self.last or 0) - 1) % SEQUENCE
        if ahead >= SEQUENCE // 2 or number in self.held:  # it came twice, or later than we waited
            yield envelope, self._read(payload, match)
            return
        self.held[number] = (envelope, payload, match)
        yield from self._release()
        if not self.held:
            self.held_since = None
        elif self.held_since is None:
            self.held_since = envelope.received_at

    def _release(self) -> Followed:
        while self.last is not None and (self.last + 1) % SEQUENCE in self.held:
            self.last = (self.last + 1) % SEQUENCE
            envelope, payload, match = self.held.pop(self.last)
            yield envelope, self._read(payload, match)

    def _give_up(self) -> Followed:
        """What was held is read without what is missing."""
        while self.held:
            self.wants_birth = True
            self.last = min(self.held, key=lambda number: (number - (self.last or 0)) % SEQUENCE) - 1
            for number, (envelope, found) in enumerate(self._release()):
                first = not number and not isinstance(found, Rejected)
                yield envelope, [one._replace(after_hole=True) for one in found] if first else found  # type: ignore[union-attr]
        self.held_since = None

    def _birth(self, payload: Any) -> list[Told] | Rejected:
        """A new birth voids every alias of the node."""
        self.aliases, self.types, self.born, self.wants_birth = {}, {}, {""}, False
        self.session = _session(payload)
        try:
            return [Told(Reading(Channel.PRESENCE, online=True)), *self._metrics(payload, "", birth=True)]
        except Unreadable as error:
            return Rejected(error.reason, error.detail)

    def _read(self, payload: Any, match: re.Match[str]) -> list[Told] | Rejected:
        device, kind = match["device"] or "", match["kind"]
        try:
            if kind == "DDEATH":
                return self._device_ends(payload, device)
            if kind == "DBIRTH" and "" in self.born:
                self.born.add(device)
                online = Told(Reading(Channel.PRESENCE, online=True, metric=device))
                return [online, *self._metrics(payload, device, birth=True)]
            if kind == "DBIRTH" or device not in self.born:
                raise Unreadable(Reason.UNKNOWN_ALIAS, "its birth was not seen")
            return self._metrics(payload, device, birth=False)
        except Unreadable as error:
            self.wants_birth |= error.reason is Reason.UNKNOWN_ALIAS
            return Rejected(error.reason, error.detail)

    def _device_ends(self, payload: Any, device: str) -> list[Told]:
        """At the time of the payload."""
        self.born.discard(device)
        return [Told(Reading(Channel.PRESENCE, measured_at=_said_at(payload), online=False, metric=device))]

    def _end(self, payload: Any) -> list[Told]:
        """The broker's word, at the time of its receipt; of a connection that another one has followed it says nothing."""
        if self.session is not None and _session(payload) != self.session:
            return []
        self.born.clear()
        return [Told(Reading(Channel.PRESENCE, online=False))]

    def _metrics(self, payload: Any, device: str, *, birth: bool) -> list[Told]:
        """Metrics of one time are one reading. Raises: Unreadable."""
        groups: dict[tuple[datetime | None, bool], dict[str, Any]] = defaultdict(dict)
        for metric in payload.metrics:
            name, datatype = self._named(metric, device, birth=birth)
            value = value_of(metric, datatype)
            if value is None or name == BD_SEQ or name.startswith("Node Control/"):
                continue
            source = metric if metric.HasField("timestamp") else payload
            groups[_said_at(source), bool(metric.is_historical)][name] = value
        found, work = [], Work()
        for (at, historical), values in groups.items():
            said = sample_of(self.message, device, values, values, UTC, work)
            readings = (one._replace(measured_at=at, historical=historical) for one in said)
            found += [Told(one) for one in joined(readings)]
        return found

    def _named(self, metric: Any, device: str, *, birth: bool) -> tuple[str, int]:
        """Raises: Unreadable."""
        if metric.HasField("name"):
            key = (device, metric.name)
            if birth:
                self.types[key] = metric.datatype
                if metric.HasField("alias"):
                    self.aliases[metric.alias] = Birth(metric.name, metric.datatype, device)
            return metric.name, metric.datatype or self.types.get(key, 0)
        known = self.aliases.get(metric.alias) if metric.HasField("alias") else None
        if known is None or known.device != device:
            raise Unreadable(Reason.UNKNOWN_ALIAS, f"alias {metric.alias} was never named")
        return known.name, metric.datatype or known.datatype


def kind(topic: str) -> str:
    """NBIRTH, DDATA and so on; empty where it is no topic of a node or device.

    >>> kind("spBv1.0/plant/DBIRTH/edge/oven")
    'DBIRTH'
    """
    match = TOPIC.fullmatch(topic)
    return match["kind"] if match else ""


def opened(topic: str, content: bytes) -> tuple[re.Match[str] | None, Any]:
    """The topic's parts and the payload; None of a host's own state. Raises: Unreadable."""
    if STATE.fullmatch(topic):
        return None, None
    match = TOPIC.fullmatch(topic)
    if match is None or (match["kind"][0] == "D") != (match["device"] is not None):
        raise Unreadable(Reason.TOPIC, "not a topic of Sparkplug B")
    return match, parse(content)


def _session(payload: Any) -> int | None:
    return next((value_of(one, one.datatype) for one in payload.metrics if one.name == BD_SEQ), None)


def _said_at(source: Any) -> datetime | None:
    """Of a payload or a metric. Raises: Unreadable."""
    return read_epoch_ms(source.timestamp) if source.HasField("timestamp") else None


def rebirth(topic: str, now: datetime) -> Command | None:
    """What asks the node that published on `topic` for a new birth; None where it is no topic of a node."""
    match = TOPIC.fullmatch(topic)
    return Command(f"spBv1.0/{match['group']}/NCMD/{match['node']}", wanted_birth(now)) if match else None


def beats(topic: str, content: bytes, _zone: ZoneInfo) -> list[Reading]:
    """When something of the message happened, and whether it was kept for later, for those who store it. Raises: Unreadable."""
    match, payload = opened(topic, content)
    if match is None or match["kind"] in {"NCMD", "DCMD"}:
        return []
    if match["kind"] == "NDEATH":  # its own time is that of the connection
        return [Reading(Channel.TELEMETRY)]
    stamps = {(at, False) for at in [_said_at(payload)] if at}
    for one in payload.metrics:
        if at := _said_at(one if one.HasField("timestamp") else payload):
            stamps.add((at, bool(one.is_historical)))
    seq = payload.seq if payload.HasField("seq") else None
    metric = f"{match['node']}/{match['device'] or ''}/{seq}"
    return [Reading(Channel.TELEMETRY, measured_at=at, metric=metric, historical=kept) for at, kept in sorted(stamps)]
