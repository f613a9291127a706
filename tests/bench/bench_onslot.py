"""Two hundred clients want one slot at the same instant, over HTTP with several server processes on PostgreSQL."""

import asyncio
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx2

from tests import servers
from tests.bench.frame import BenchRow, Better
from tests.product import product as a_product
from tests.web.api.world import API, World, a_world, span, tomorrow

CLIENTS = 200
ROUNDS = 10
WARM_UP = 3
SERVERS = 2
ASKED_P99_MS = 250.0
PATIENCE_S = 30


def rows() -> Iterator[BenchRow]:
    """The 99th of a hundred waits no longer than a blink, and one client alone has the slot."""
    with (
        tempfile.TemporaryDirectory() as folder,
        servers.postgres(Path(folder) / "pilotbench-postgres-bench") as url,
        a_product(Path(folder) / "product", url) as product,
    ):
        operator = product.operator_token()
        product.start(servers=SERVERS, workers=0)
        with httpx2.Client(base_url=product.base_url, timeout=PATIENCE_S) as client:
            world = a_world(client, operator)
        bare = asyncio.run(onslaught(product.port, [b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"] * ROUNDS))
        ours = asyncio.run(onslaught(product.port, [wish(world, number) for number in range(WARM_UP + ROUNDS)]))
        check(ours[WARM_UP:], product.log)
        yield row("asked", ASKED_P99_MS, ours[WARM_UP:], floor=1, aim=0.6)
        yield row(f"GET /healthz, {CLIENTS} at once", p99(bare), ours[WARM_UP:], floor=8, aim=4)


def row(limit_name: str, limit: float, found: Sequence["Round"], *, floor: float, aim: float) -> BenchRow:
    return BenchRow(f"{CLIENTS} clients on one slot, p99", limit_name, limit, p99(found), "ms", floor, aim, Better.LOWER)


Round = list[tuple[int, float]]
"""Status and milliseconds of each client."""


def p99(rounds: Sequence[Round]) -> float:
    waits = sorted(took for one in rounds for _, took in one)
    return waits[int(len(waits) * 0.99)]


def check(rounds: Sequence[Round], log: str) -> None:
    """One winner in each round and no failure of ours."""
    for one in rounds:
        codes = Counter(status for status, _ in one)
        assert codes == {201: 1, 409: CLIENTS - 1}, f"{codes}\n{log[-2000:]}"


def wish(world: World, number: int) -> bytes:
    """The request as bytes: the same slot for all of a round, another in each."""
    body = json.dumps(span(tomorrow(days=2 + number))).encode()
    head = f"POST {API}/resources/{world.resource}/bookings HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {world.member}\r\n"
    return f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


async def onslaught(port: int, requests: Sequence[bytes]) -> list[Round]:
    """Every request by all clients at once, one round after the other, over connections that stand."""
    streams = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CLIENTS)]
    found = []
    for request in requests:
        found.append(list(await asyncio.gather(*(asked(reader, writer, request) for reader, writer in streams))))
        await asyncio.sleep(0.1)
    for _, writer in streams:
        writer.close()
    return found


async def asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> tuple[int, float]:
    began = time.perf_counter()
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    took = (time.perf_counter() - began) * 1000
    length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
    await reader.readexactly(length)
    return int(head.split(b" ", 2)[1]), took
