"""The broker's messages, in batches, acknowledged only after the caller has committed them.

    batch = ingest.take()
    with sessions.begin() as session:
        intake.store_batch(session, batch, now=clock.now())
    ingest.ack(batch)

Of several workers the last to come has the connection; the others stand by until it gives no sign any more (decision 0039).
Killed anywhere in this loop, nothing is lost and nothing is stored twice: the broker delivers again what was not acknowledged.
"""

import queue
import random
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import structlog
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from devices.broker_client import BrokerClient
from devices.readings import Command, Envelope
from devices.rights import AGAIN, INGEST
from marketplace import clock

log = structlog.get_logger()

BATCH = 1000
BATCH_S = 0.05
SESSION_S = 7 * 86400
"""The broker keeps our session, and so our messages, this long while we are away."""

IN_FLIGHT = 8000
"""Unacknowledged messages at most (ReceiveMaximum): bounds our queue to about 2 MB; the rest waits in the broker."""

QUEUE_LIMIT = 4 * IN_FLIGHT
"""QoS 0 knows no window; beyond this we drop what nobody was promised, and count it."""

TICK, SAME_MOMENT = timedelta(microseconds=1), timedelta(milliseconds=10)
"""Our clock may be set back by more, and is believed then."""

KEEPALIVE_S = 30
BEAT_S = 5.0
SIGN_EVERY = timedelta(seconds=BEAT_S)
READY_S = 15.0
FIRST_WAIT_S, LONGEST_WAIT_S = 2.0, 60.0
"""A wrong password is not mended within a second; once it is, we are back within a minute."""
OWN = f"{INGEST}/"
OWN_QOS = 1


class Item(NamedTuple):
    """A message in the queue, with what is needed to acknowledge it."""

    topic: str
    payload: bytes
    received_at: datetime
    retain: bool
    backlog: bool
    mid: int
    qos: int
    connection: int


@dataclass(frozen=True)
class Batch:
    """Messages to store in one transaction and to acknowledge after it. May be empty."""

    envelopes: list[Envelope]
    items: list[Item]
    beat_at: datetime | None = None
    """When a heartbeat of our own came back in it: everything the broker held for us before has come by then."""

    listening_at: datetime | None = None
    """Now and then: whoever stores this listens, however far behind."""

    lost_at: tuple[datetime, ...] = ()
    """When the broker said that it knows no session of ours: on the first start, or after it lost one."""

    refused: tuple[Envelope, ...] = ()
    """What no database would take: to be kept as rejected."""

    def __bool__(self) -> bool:
        return bool(self.items or self.lost_at)

    def halves(self) -> tuple["Batch", "Batch"]:
        """To be stored one after the other; the heartbeat belongs to the second."""
        middle = len(self.envelopes) // 2
        first = replace(self, envelopes=self.envelopes[:middle], beat_at=None, listening_at=None)
        return first, replace(self, envelopes=self.envelopes[middle:], lost_at=())

    def as_rejected(self) -> "Batch":
        return replace(self, envelopes=[], refused=(*self.refused, *self.envelopes))


class Ingest:
    """A connection to the broker at `url` (mqtt://user:password@host:port)."""

    def __init__(self, url: str, *, now: Callable[[], datetime] = clock.now) -> None:
        at = urlsplit(url)
        self._address = (at.hostname or "127.0.0.1", at.port or 1883)
        self._now = now
        self._items: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._lost: queue.SimpleQueue[datetime] = queue.SimpleQueue()
        self._acks = threading.Lock()
        self._connection = 0
        self._connected = self._backlog = False
        self._marker = ""
        self._last_beat = 0.0
        self.signed_at: datetime | None = None
        """The last sign that we listen."""
        self.broken = False
        """There is no connection: the broker is away, or another worker took it over, which the broker does not tell."""
        self.refusals = 0
        """How often in a row the broker did not let us in."""
        self._received_at = datetime.fromtimestamp(0, UTC)
        self.dropped = 0
        """QoS 0 messages that did not fit; a number for /metrics."""
        self.unreadable = 0
        """Messages whose topic is no text; they are stored as rejected."""
        self._account = (unquote(at.username or "ingest"), unquote(at.password or ""))
        self._tell_subscribed: Callable[[], None] = lambda: None
        self._client = self._new_client()

    def _new_client(self) -> BrokerClient:
        name, password = self._account
        client = BrokerClient(
            CallbackAPIVersion.VERSION2,
            client_id=name,
            protocol=MQTTProtocolVersion.MQTTv5,
            manual_ack=True,
            reconnect_on_failure=False,  # or two workers would take each other's place for ever
        )
        client.username_pw_set(name, password)
        client.suppress_exceptions = True  # an exception in a callback would end the network thread for good
        client.on_message = self._on_message
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = lambda *_: self._tell_subscribed()
        return client

    def start(self) -> None:
        """Connect in the background, once: who finds it `broken` calls this again."""
        if self.broken:
            self._client.loop_stop()
            with self._acks:
                self._client = self._new_client()  # paho leaks two sockets where one begins anew
        self.broken = False
        asked = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        asked.SessionExpiryInterval = SESSION_S
        asked.ReceiveMaximum = IN_FLIGHT
        self._client.connect_async(*self._address, keepalive=KEEPALIVE_S, clean_start=False, properties=asked)
        self._client.loop_start()

    def on_subscribed(self, tell: Callable[[], None]) -> None:
        """`tell` is called each time the broker has begun to keep messages for us."""
        self._tell_subscribed = tell

    def stop(self) -> None:
        """Disconnect; the broker keeps the session and what is not acknowledged."""
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def connected(self) -> bool:
        """Whether the broker answered; readiness is a committed heartbeat (queries.last_heartbeat), not this."""
        return self._connected

    @property
    def waiting(self) -> int:
        """Messages received and not yet taken, a number for /metrics."""
        return self._items.qsize()

    def take(self, *, limit: int = BATCH, seconds: float = BATCH_S) -> Batch:
        """Up to `limit` messages or what came within `seconds`; an empty batch where nothing did."""
        self._beat()
        items: list[Item] = []
        end = time.monotonic() + seconds
        while len(items) < limit:
            left = end - time.monotonic()
            try:
                items.append(self._items.get(timeout=left) if left > 0 else self._items.get_nowait())
            except queue.Empty:
                break
        beats = [item.received_at for item in items if _is_own(item) and not item.backlog]
        envelopes = [_envelope(item) for item in items if not _is_own(item)]
        return Batch(envelopes, items, max(beats, default=None), self._sign() if items else None, tuple(_drain(self._lost)))

    def ack(self, batch: Batch) -> None:
        """Tell the broker that `batch` is committed. What came over an older connection is left: it comes again."""
        with self._acks:
            self._client.ack_all(item.mid for item in batch.items if item.qos and item.connection == self._connection)

    def tell(self, command: Command) -> None:
        """Send a command to a device; it is not repeated where it gets lost."""
        self._client.publish(command.topic, command.payload, qos=0)

    def _beat(self) -> None:
        """Send ourselves a message now and then: when it is committed, the whole way works."""
        if self._connected and time.monotonic() - self._last_beat >= BEAT_S:
            self._last_beat = time.monotonic()
            self._client.publish(f"{OWN}beat", b"", qos=OWN_QOS)

    def _sign(self) -> datetime | None:
        """Where it is time for one; none with what is left of a connection that is lost."""
        now = self._now()
        if self.broken or (self.signed_at and now - self.signed_at < SIGN_EVERY):
            return None
        self.signed_at = now
        return now

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        """In paho's thread: queue and nothing else."""
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""
            self.unreadable += 1
        if topic and topic == self._marker:
            self._backlog = False
        if not message.qos and self._items.qsize() >= QUEUE_LIMIT:
            self.dropped += 1
            return
        self._items.put(
            Item(
                topic,
                bytes(message.payload),
                self._receipt(),
                message.retain,
                self._backlog,
                message.mid,
                message.qos,
                self._connection,
            )
        )

    def _receipt(self) -> datetime:
        """Now; later than of the message before, by which the fold knows their order."""
        now = self._now()
        if self._received_at - SAME_MOMENT < now <= self._received_at:
            now = self._received_at + TICK
        self._received_at = now
        return now

    def _on_connect(self, client: Client, _data: Any, flags: ConnectFlags, code: ReasonCode, _more: Any) -> None:
        if code.is_failure:
            self.refusals += 1
            log.warning("broker_refused", reason=str(code), in_a_row=self.refusals)
            return
        self.refusals = 0
        with self._acks:
            self._connection += 1
        if not flags.session_present:
            self._lost.put(self._now())
        self._backlog = flags.session_present
        self._connected = True
        client.subscribe("#", qos=1)
        self._marker = f"{OWN}marker/{secrets.token_hex(8)}"
        client.publish(self._marker, b"", qos=OWN_QOS)
        log.info("broker_connected", session_present=flags.session_present)

    def _on_connect_fail(self, _client: Client, _data: Any) -> None:
        self.refusals = 0
        self.broken = True

    def _on_disconnect(
        self,
        _client: Client,
        _data: Any,
        _flags: DisconnectFlags,
        code: ReasonCode,
        _more: Any,
    ) -> None:
        """From here on no message of the old connection is acknowledged; paho forgets its unsent packets after this."""
        with self._acks:
            self._connection += 1
        self._connected = False
        self.broken = True
        log.info("broker_disconnected", reason=str(code))


def wait_s(refusals: int) -> float:
    """How long a broker is left alone that refused us so often in a row: twice as long each time, and up to half of it less by
    chance, so that several who were refused at once do not come back at once."""
    if not refusals:
        return 0.0
    return min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(refusals - 1, 10)) * random.uniform(0.5, 1)


def _is_own(item: Item) -> bool:
    """What we say to ourselves."""
    return item.topic.startswith(OWN) and not item.topic.startswith(AGAIN)


def _envelope(item: Item) -> Envelope:
    """What the broker is told again counts as kept by it until now."""
    again = item.topic.startswith(AGAIN)
    return Envelope(
        item.topic.removeprefix(AGAIN), item.payload, item.received_at, item.retain, item.backlog or again, again=again
    )


def keep_for_us(url: str) -> bool:
    """Have a broker that has never heard of us keep messages from now on, whenever ingest comes; False where it did not answer.

    Not for one that knew us: who takes over finds a session then, and not that something was lost.
    """
    ingest, kept = Ingest(url), threading.Event()
    ingest.on_subscribed(kept.set)
    ingest.start()
    found = kept.wait(READY_S)
    ingest.stop()
    return found


def _drain(waiting: queue.SimpleQueue[datetime]) -> list[datetime]:
    found: list[datetime] = []
    while not waiting.empty():
        found.append(waiting.get_nowait())
    return found
