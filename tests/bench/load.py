"""A light HTTP client for load: keep-alive connections that send prepared bytes, so that the server is what is measured."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
ANSWER_S = 30


@dataclass
class Answers:
    """How often each status came, how long each answer took, and how long all of it lasted, in seconds."""

    statuses: Counter[int] = field(default_factory=Counter)
    took_s: list[float] = field(default_factory=list)
    lasted_s: float = 0.0

    def rate(self, status: int) -> float:
        """Answers of `status` a second."""
        return self.statuses[status] / self.lasted_s

    def quantile_s(self, share: float) -> float:
        """The time within which `share` of the answers came."""
        ordered = sorted(self.took_s)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def post(port: int, path: str, token: str, body: bytes) -> bytes:
    """A request as it goes over the wire."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def send(port: int, requests: Iterator[bytes], *, connections: int, seconds: float) -> Answers:
    """Every connection sends the next request as soon as it has its answer, until the time or the requests are over."""
    return asyncio.run(_send(port, requests, connections, seconds))


def send_at_once(port: int, requests: Sequence[bytes]) -> Answers:
    """Each on a connection of its own, opened before, all in the same moment."""
    return asyncio.run(_send(port, iter(requests), len(requests), ANSWER_S))


async def _send(port: int, requests: Iterator[bytes], connections: int, seconds: float) -> Answers:
    answers = Answers()
    lines = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", port) for _ in range(connections)))
    began = time.perf_counter()
    await asyncio.gather(*(_talk(reader, writer, requests, answers, began + seconds) for reader, writer in lines))
    answers.lasted_s = time.perf_counter() - began
    for _, writer in lines:
        writer.close()
    return answers


async def _talk(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, requests: Iterator[bytes], answers: Answers, until: float
) -> None:
    for request in requests:
        sent = time.perf_counter()
        writer.write(request)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), ANSWER_S)
        found = LENGTH.search(head)
        if found and int(found.group(1)):
            await reader.readexactly(int(found.group(1)))
        answers.took_s.append(time.perf_counter() - sent)
        answers.statuses[int(head[9:12])] += 1
        if time.perf_counter() > until:
            return
