"""Remembers what passed through our own broker a moment ago, and tells it again once the broker was killed (decision 0040).

Mosquitto acknowledges a message before it is on disk, but writes it to whoever listens before that. So what the keeper has
heard holds all that was acknowledged, and what the broker forgot comes again at `ingest/again/<topic>`, for ingest to sort out.
"""

import math
import threading
from collections import deque
from collections.abc import Iterator
from time import monotonic
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import structlog
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from devices.codecs.strict import PAYLOAD_LIMIT, TOPIC_LIMIT
from devices.rights import AGAIN, INGEST, KEEPER, TELLER
from marketplace import clock

log = structlog.get_logger()

KEPT_S = 30.0
"""A round of the broker's loop takes 0.4 s with half a million messages in its store; a slow disk may need many times that."""
KEPT_MESSAGES = 60_000
KEPT_BYTES = 16 << 20
"""Half a minute of 2,000 a second, each of 280 bytes."""

LEVELS = 100
"""Of a topic; Mosquitto puts out whoever publishes to more than 200, and ours go below two more."""

WINDOW = 500
"""Told again and not acknowledged yet."""

KEEPALIVE_S = 30
END_S = 10.0
"""What is left in the socket of a broker that died is read in a fraction of it."""

STILL_S = 1.0
"""A broker that is only just dead may not be known to be."""

RETRY_S = 10.0
"""Each time that it is turned away is on record."""

WARN_EVERY_S = 60.0


class Passed(NamedTuple):
    topic: str
    payload: bytes
    at: float
    """When we read it, in seconds since 1970 as a file's times are, never before the broker took it."""


class Memory:
    """The last messages, bounded by their age, number and bytes: about 30 MB at most."""

    def __init__(self, *, seconds: float = KEPT_S, messages: int = KEPT_MESSAGES, size: int = KEPT_BYTES) -> None:
        self._seconds, self._messages, self._most_bytes = seconds, messages, size
        self._passed: deque[Passed] = deque()
        self._lock = threading.Lock()
        self.size = 0
        """Bytes of topics and payloads."""
        self.overrun = 0
        """How many were forgotten before their time because there was no room."""

    def __len__(self) -> int:
        return len(self._passed)

    def add(self, topic: str, payload: bytes, at: float) -> None:
        with self._lock:
            self._passed.append(Passed(topic, payload, at))
            self.size += len(topic) + len(payload)
            while self._passed[0].at < at - self._seconds:
                self._forget()
            while len(self._passed) > self._messages or self.size > self._most_bytes:
                self._forget()
                self.overrun += 1

    def hold(self, since: float) -> None:
        """Let what passed since then not age until it is released."""
        with self._lock:
            held = [one._replace(at=math.inf) for one in self._passed if one.at >= since]
            self._passed = deque([*held, *(one for one in self._passed if one.at < since)])

    def held(self) -> list[Passed]:
        with self._lock:
            return [one for one in self._passed if one.at == math.inf]

    def release(self, at: float) -> None:
        """As if it passed at this moment: told again it is no safer than it was when it came first."""
        with self._lock:
            released = (one._replace(at=min(one.at, at)) for one in self._passed)
            self._passed = deque(sorted(released, key=lambda one: one.at))

    def _forget(self) -> None:
        gone = self._passed.popleft()
        self.size -= len(gone.topic) + len(gone.payload)


class Keeper:
    """A listener beside our own broker, and for the moment after a death a second connection, which tells it again.

    The listener writes nothing but its subscription: whoever writes to a dead broker loses what that had sent it last.
    """

    def __init__(self, memory: Memory | None = None) -> None:
        self.memory = memory or Memory()
        self.broken = False
        """A connection is lost, and all that came over the listener's is remembered."""
        self._at = urlsplit("")
        self._listener: Client | None = None
        self._teller: Client | None = None
        self._ended = threading.Event()
        """The listener has read all there was."""
        self._ended.set()
        self._again: Iterator[Passed] = iter(())
        self._under_way = self._told = self._refused = self._overrun = 0
        self._warned_at = self._began_at = -math.inf
        self._listens = False

    def hold(self, since: float) -> None:
        """The broker has ended: what passed since then, and is not in its store, is to be told to the next one."""
        self._ended.wait(END_S)
        self.memory.hold(since)

    def look_after(self, url: str) -> None:
        """Connect again where a connection is lost though the broker runs."""
        if self.broken and monotonic() - self._began_at >= RETRY_S:
            self._ended.wait(STILL_S)
            self.start(url)

    def start(self, url: str) -> None:
        """Connect in the background, once, and tell again what is held."""
        self.stop()
        self._began_at = monotonic()
        self._at, self.broken = urlsplit(url), False
        self._ended.clear()
        self._listener = self._new_client(KEEPER)
        self._listener.on_connect = self._on_listener_connect
        self._listener.on_subscribe = self._on_subscribe
        self._listener.on_message = self._on_message
        self._listener.on_connect_fail = self._on_listener_fail
        self._listener.on_disconnect = self._on_listener_disconnect
        self._connect(self._listener)

    def stop(self) -> None:
        for client in (self._listener, self._teller):
            if client is not None:
                client.disconnect()
                client.loop_stop()
        self._listener = self._teller = None

    def _new_client(self, name: str) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTProtocolVersion.MQTTv5, reconnect_on_failure=False
        )
        client.username_pw_set(name, unquote(self._at.password or ""))
        client.suppress_exceptions = True  # an exception in a callback would end the network thread for good
        return client

    def _connect(self, client: Client) -> None:
        client.connect_async(self._at.hostname or "127.0.0.1", self._at.port or 1883, keepalive=KEEPALIVE_S)
        client.loop_start()

    def _on_listener_connect(self, client: Client, _data: Any, _flags: ConnectFlags, code: ReasonCode, _more: Any) -> None:
        if code.is_failure:
            log.warning("keeper_refused", reason=str(code), meaning="what the broker forgets when it is killed is lost")
            return
        # at QoS 0: it is to acknowledge nothing, for that is writing
        client.subscribe("#", options=SubscribeOptions(qos=0, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND))

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return
        ours = topic.startswith(f"{INGEST}/")
        if ours or len(topic) > TOPIC_LIMIT or topic.count("/") >= LEVELS or len(message.payload) > PAYLOAD_LIMIT:
            return
        now = clock.now().timestamp()
        self.memory.add(topic, bytes(message.payload), now)
        if self.memory.overrun > self._overrun and now - self._warned_at >= WARN_EVERY_S:
            log.warning("keeper_forgets", messages=self.memory.overrun - self._overrun, meaning="more passes than is remembered")
            self._overrun, self._warned_at = self.memory.overrun, now

    def _on_listener_fail(self, _client: Client, _data: Any) -> None:
        self.broken = True
        self._ended.set()

    def _on_listener_disconnect(self, _c: Client, _data: Any, _flags: DisconnectFlags, code: ReasonCode, _more: Any) -> None:
        if self._listens:
            log.info("keeper_disconnected", reason=str(code), remembered=len(self.memory))
        self._listens, self.broken = False, True
        self._ended.set()

    def _on_subscribe(self, _client: Client, *_: Any) -> None:
        """From here on what passes is remembered; beside it tell again what the broker may have forgotten."""
        self._listens, self._again = True, iter(self.memory.held())
        self._under_way = self._told = self._refused = 0
        self._teller = self._new_client(TELLER)
        self._teller.max_inflight_messages_set(WINDOW)
        self._teller.on_connect = self._on_teller_connect
        self._teller.on_publish = self._on_publish
        self._teller.on_connect_fail = self._on_teller_fail
        self._teller.on_disconnect = self._on_teller_fail
        self._connect(self._teller)

    def _on_teller_connect(self, client: Client, _data: Any, _flags: ConnectFlags, code: ReasonCode, _more: Any) -> None:
        if not code.is_failure:
            for _each in range(WINDOW):
                self._tell_next(client)
            self._look_whether_told(client)

    def _tell_next(self, client: Client) -> None:
        if one := next(self._again, None):
            client.publish(AGAIN + one.topic, one.payload, qos=1)
            self._under_way += 1

    def _on_publish(self, client: Client, _data: Any, _mid: int, code: ReasonCode, _more: Properties) -> None:
        self._under_way -= 1
        self._told += 1
        self._refused += code.is_failure
        self._tell_next(client)
        self._look_whether_told(client)

    def _look_whether_told(self, client: Client) -> None:
        if not self._under_way:
            self.memory.release(clock.now().timestamp())
            client.on_disconnect = None
            client.disconnect()
            log.info("keeper_listens", told_again=self._told, refused=self._refused)

    def _on_teller_fail(self, _client: Client, *_: Any) -> None:
        self.broken = True
