"""Many devices at a real broker in one thread: MQTT 3.1.1 by hand, for a client library has a thread for each."""

import selectors
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

PATIENCE_S = 30.0
CONNECT, CONNACK, PUBLISH, PUBACK = 0x10, 0x20, 0x32, 0x40
"""PUBLISH with QoS 1."""


class Closed(Exception):
    """The broker closed a device's connection, or did not let it in."""


@dataclass
class Member:
    """One device: what it sent and has no acknowledgement of, by number, with when."""

    key: str
    socket: socket.socket
    sent: int = 0
    open: dict[int, float] = field(default_factory=dict)
    unread: bytes = b""
    greeted: bool = False


@dataclass
class Fleet:
    port: int
    members: list[Member] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    """Seconds from each message to its acknowledgement."""
    _ready: selectors.DefaultSelector = field(default_factory=selectors.DefaultSelector)

    def join(self, logins: Sequence[tuple[str, str]]) -> float:
        """Connect them all; seconds until the last one was let in. Raises: Closed."""
        began = time.monotonic()
        for key, secret in logins:
            one = Member(key, socket.create_connection(("127.0.0.1", self.port), PATIENCE_S))
            told = _text("MQTT") + struct.pack("!BBH", 4, 0xC2, 600) + _text(key) + _text(key) + _text(secret)
            one.socket.sendall(_packet(CONNECT, told))
            one.socket.setblocking(False)
            self._ready.register(one.socket, selectors.EVENT_READ, one)
            self.members.append(one)
        while not all(one.greeted for one in self.members):
            self.hear(0.1)
            assert time.monotonic() - began < PATIENCE_S, "waited in vain"
        return time.monotonic() - began

    def say(self) -> None:
        """One message of each, numbered."""
        for one in self.members:
            one.sent += 1
            one.open[one.sent] = time.monotonic()
            body = _text(f"d/{one.key}/t") + struct.pack("!H", one.sent) + b'{"seq":%d}' % one.sent
            one.socket.sendall(_packet(PUBLISH, body))

    def hear(self, seconds: float) -> None:
        """Take acknowledgements for so long. Raises: Closed."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            for key, _ in self._ready.select(left):
                self._read(key.data)

    def _read(self, one: Member) -> None:
        told = one.socket.recv(65536)
        if not told:
            raise Closed(one.key)
        one.unread += told
        while len(one.unread) >= 4:  # both kinds of answer have four bytes
            kind, _, high, low = one.unread[:4]
            one.unread = one.unread[4:]
            if kind == PUBACK:
                self.waits.append(time.monotonic() - one.open.pop(high << 8 | low))
            elif kind != CONNACK or low:
                raise Closed(one.key)
            one.greeted = True

    def leave(self) -> None:
        for one in self.members:
            one.socket.close()
        self._ready.close()

    @property
    def unacknowledged(self) -> int:
        return sum(len(one.open) for one in self.members)


def _text(text: str) -> bytes:
    return struct.pack("!H", len(text)) + text.encode()


def _packet(kind: int, body: bytes) -> bytes:
    length, left = bytearray(), len(body)
    while left > 127:
        length.append(left % 128 | 128)
        left //= 128
    return bytes([kind, *length, left]) + body
