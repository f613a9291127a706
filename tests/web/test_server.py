"""The sockets of the server's processes: a burst is shared out, and a port that is taken is named."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import uvicorn

from tests import servers
from web.server import Evenly, PortTaken, check_port, listen

BURST = 200


@pytest.fixture
def port() -> int:
    return servers.free_port()


@pytest.fixture
def processes(port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[socket.socket]]:
    """What two processes of one server would be given."""
    monkeypatch.setattr("signal.signal", lambda *_: None)  # the supervisor takes the signals of whoever makes it
    server = Evenly(uvicorn.Config("none:app", host="127.0.0.1", port=port, workers=2), sockets=[])
    with ExitStack() as open_until:
        yield [open_until.enter_context(given) for _ in range(2) for given in server.sockets]


def waiting(listening: socket.socket) -> int:
    """How many connections wait there."""
    listening.setblocking(False)
    count = 0
    while True:
        try:
            listening.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1


def test_a_burst_of_connections_is_shared_out_among_the_processes(port: int, processes: list[socket.socket]) -> None:
    for one in processes:
        one.listen(BURST)
    with ExitStack() as open_until:
        for _ in range(BURST):
            open_until.enter_context(socket.create_connection(("127.0.0.1", port)))
        counts = [waiting(one) for one in processes]
    assert sum(counts) == BURST
    assert min(counts) > BURST // 4, counts


def test_a_process_that_is_gone_leaves_its_share_to_the_other(port: int, processes: list[socket.socket]) -> None:
    for one in processes:
        one.listen(BURST)
    processes[0].close()
    with ExitStack() as open_until:
        for _ in range(20):
            open_until.enter_context(socket.create_connection(("127.0.0.1", port)))
        assert waiting(processes[1]) == 20


@pytest.mark.parametrize("beside_others", [False, True], ids=["one process", "several"])
def test_a_second_server_on_the_port_is_told_so(port: int, beside_others: bool) -> None:
    with listen("127.0.0.1", port, beside_others=beside_others) as taken:
        taken.listen()
        with pytest.raises(PortTaken) as told:
            check_port("127.0.0.1", port)
    assert told.value.values == {"port": port}
    check_port("127.0.0.1", port)
