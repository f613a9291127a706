"""paho's client with two costs taken off: it reads in pieces of a few bytes, and sends every acknowledgement by itself.

Where other threads are at work each of those calls lets them in before it comes back (decision 0041).
"""

from collections.abc import Iterable
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import MQTTErrorCode

CHUNK_BYTES = 65536
PACKETS = 500
"""That are read in a row, about 20 ms of work."""
PUBACK = 0x40
PUBACK_REST = b"\x02"
"""The bytes that follow: the message's number alone, which stands for success in MQTT 3.1.1 and 5."""


class Buffered:
    """What paho asks of a socket; it takes as much as there is, and hands it out in the pieces that it is asked for."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self._taken, self._at = b"", 0
        self.send, self.close, self.fileno, self.setblocking = sock.send, sock.close, sock.fileno, sock.setblocking

    def recv(self, size: int) -> bytes:
        """At most `size` bytes. Raises: BlockingIOError, as the socket does."""
        if self._at == len(self._taken):
            self._taken, self._at = self._sock.recv(CHUNK_BYTES), 0
        found = self._taken[self._at : self._at + size]
        self._at += len(found)
        return found

    def pending(self) -> int:
        """Bytes that are here already: the system would not wake anybody for them."""
        under = getattr(self._sock, "pending", None)  # of a socket with TLS
        return len(self._taken) - self._at + (under() if under else 0)


class BrokerClient(Client):
    """A client of one subscriber, whose `loop_start` and callbacks are paho's."""

    def _create_socket(self) -> Buffered:
        return Buffered(super()._create_socket())

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """What is here, before the next wait for more; no longer than acknowledgements and pings may be kept waiting."""
        for _ in range(PACKETS):
            code = super().loop_read(max_packets)
            if code is not MQTTErrorCode.MQTT_ERR_SUCCESS or self._sock is None or not self._sock.pending():  # type: ignore[attr-defined]
                break
        return code

    def ack_all(self, mids: Iterable[int]) -> None:
        """Acknowledge messages of QoS 1 by their numbers, in their order."""
        acks = b"".join(bytes([PUBACK]) + PUBACK_REST + mid.to_bytes(2) for mid in mids)
        if acks:
            self._packet_queue(PUBACK, acks, 0, 1)
