"""Fetches a calendar by its address: bounded in time, size and redirects, and only from hosts that anyone could reach."""

import ipaddress
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import httpcore2
import httpx2

from booking.external.lines import LARGEST
from marketplace.refusals import Invalid, Refusal

LONGEST_ADDRESS = 1000
CONNECT_S, READ_S, WHOLE_S = 5.0, 10.0, 30.0
"""Patience with the connection, with each piece, and with the whole answer."""
MOST_REDIRECTS = 3
REDIRECTS = frozenset({301, 302, 303, 307, 308})
TRANSLATED = ipaddress.ip_network("64:ff9b::/96")
"""IPv4 addresses as a network's translator writes them: they may lead inside."""
PORTS = {"http": 80, "https": 443}


class NotFetched(Refusal):
    """No calendar was had. `reason`: unreachable, private_address, too_slow, too_large, redirects, status (with `status`)."""

    code = "calendar_not_fetched"


@dataclass(frozen=True, slots=True)
class Seen:
    """What the server said of the version that it sent; sent back, it may answer that nothing has changed."""

    etag: str | None = None
    modified: str | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """The file, or None where it is still the one seen before."""

    body: bytes | None
    seen: Seen


def read_address(text: str) -> str:
    """A calendar's address; webcal means https. Raises: Invalid."""
    try:
        url = httpx2.URL(text.strip())
        scheme = {"webcal": "https", "webcals": "https"}.get(url.scheme, url.scheme)
        if len(text) > LONGEST_ADDRESS or scheme not in PORTS or not url.host or url.userinfo or not text.isprintable():
            raise Invalid(field="url", reason="is no address of a calendar such as https://example.org/calendar.ics")
        return str(url.copy_with(scheme=scheme, fragment=None))
    except (httpx2.InvalidURL, ValueError) as error:
        raise Invalid(field="url", reason="is no address of a calendar such as https://example.org/calendar.ics") from error


def fetch(address: str, seen: Seen, *, private: bool = False) -> Fetched:
    """The calendar at `address`; with `private` also from this machine and its own network. Raises: NotFetched."""
    deadline = time.monotonic() + WHOLE_S
    with httpcore2.ConnectionPool(network_backend=_Outward(deadline, private=private), max_connections=1) as pool:
        url = httpx2.URL(address)
        for _ in range(MOST_REDIRECTS + 1):
            answer, following = _ask(pool, url, seen, deadline)
            if answer is not None:
                return answer
            url = url.join(following)
            if url.scheme not in PORTS or not url.host:
                raise NotFetched(reason="redirects")
    raise NotFetched(reason="redirects")


def _ask(pool: httpcore2.ConnectionPool, url: httpx2.URL, seen: Seen, deadline: float) -> tuple[Fetched | None, str]:
    """The answer, or where it leads. Raises: NotFetched."""
    patience = {"connect": CONNECT_S, "read": READ_S, "write": READ_S, "pool": CONNECT_S}
    try:
        with pool.stream("GET", str(url), headers=_headers(url, seen), extensions={"timeout": patience}) as reply:
            told = {name.lower().decode("latin-1"): value.decode("latin-1") for name, value in reply.headers}
            if reply.status in REDIRECTS and "location" in told:
                return None, told["location"]
            if reply.status == 304:
                return Fetched(None, seen), ""
            if reply.status != 200 or told.get("content-encoding", "identity") != "identity":
                raise NotFetched(reason="status", status=reply.status)
            body = _body(reply.iter_stream(), deadline)
            return Fetched(body, Seen(_kept(told.get("etag")), _kept(told.get("last-modified")))), ""
    except httpcore2.TimeoutException as error:
        raise NotFetched(reason="too_slow") from error
    except (httpcore2.NetworkError, httpcore2.ProtocolError, httpx2.InvalidURL, ValueError, OSError) as error:
        raise NotFetched(reason="unreachable") from error


def _headers(url: httpx2.URL, seen: Seen) -> list[tuple[str, str]]:
    found = [("host", url.netloc.decode("ascii")), ("user-agent", "Pilotbench"), ("accept", "text/calendar, */*;q=0.1")]
    found.append(("accept-encoding", "identity"))
    if seen.etag:
        found.append(("if-none-match", seen.etag))
    if seen.modified:
        found.append(("if-modified-since", seen.modified))
    return found


def _kept(header: str | None) -> str | None:
    """As long as the column that keeps it."""
    return header if header and len(header) <= 200 and header.isprintable() else None


def _body(pieces: Iterable[bytes], deadline: float) -> bytes:
    """Raises: NotFetched."""
    body = bytearray()
    for piece in pieces:
        body += piece
        if len(body) > LARGEST:
            raise NotFetched(reason="too_large")
        if time.monotonic() > deadline:
            raise NotFetched(reason="too_slow")
    return bytes(body)


class _Outward(httpcore2.NetworkBackend):
    """Connects to the very address that was looked up and judged, so that a name cannot mean another a moment later."""

    def __init__(self, deadline: float, *, private: bool) -> None:
        self._deadline, self._private = deadline, private
        self._way = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        try:
            found = [str(one[4][0]) for one in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        except (OSError, UnicodeError) as error:
            raise NotFetched(reason="unreachable") from error
        if not self._private and not all(is_public(one) for one in found):
            raise NotFetched(reason="private_address")
        return _Stream(self._way.connect_tcp(found[0], port, timeout, local_address, socket_options), self._deadline)


class _Stream(httpcore2.NetworkStream):
    """A connection that ends at the deadline, however slowly the other side goes on talking."""

    def __init__(self, inner: httpcore2.NetworkStream, deadline: float) -> None:
        self._inner, self._deadline = inner, deadline

    def _left(self, timeout: float | None) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise httpcore2.ReadTimeout
        return min(left, timeout or READ_S)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._left(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(self, ssl_context: object, server_hostname: str | None = None, timeout: float | None = None) -> "_Stream":
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, self._left(timeout)), self._deadline)  # type: ignore[arg-type]

    def get_extra_info(self, info: str) -> object:
        return self._inner.get_extra_info(info)


def is_public(address: str) -> bool:
    """Whether anybody on the internet could reach it: not this machine, its own network, or a cloud's inner services.

    >>> [is_public(one) for one in ("93.184.216.34", "127.0.0.1", "169.254.169.254", "::ffff:10.0.0.1", "fe80::1")]
    [True, False, False, False, False]
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    if found in TRANSLATED:
        return False
    inner = getattr(found, "ipv4_mapped", None) or getattr(found, "sixtofour", None) or found
    return inner.is_global and not inner.is_multicast
