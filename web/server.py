"""Runs ASGI applications with uvicorn, and names a taken port before it hurts."""

import signal
import socket
import threading
from types import FrameType

import uvicorn
from uvicorn.supervisors import Multiprocess

from billing.providers import fake
from marketplace.refusals import Refusal

GRACE_S = 5
"""How long open streams may delay a stop."""
KEEP_ALIVE_S = 75
"""Longer than proxies and clients keep an idle connection: else they send into one that is just being closed."""
START_S = 60
"""A worker that has said nothing for so long is replaced; on a busy machine its imports alone take more than the usual five."""


class PortTaken(Refusal):
    """Something else listens there. `port` is it."""

    code = "port_taken"


def stopped() -> threading.Event:
    """Set once SIGTERM or SIGINT asks this process to end."""
    over = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        over.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return over


def check_port(host: str, port: int) -> None:
    """Raises: PortTaken."""
    try:
        listen(host, port).close()
    except OSError as error:
        raise PortTaken(port=port) from error


def serve(host: str, port: int, workers: int) -> None:
    """Until stopped by a signal."""
    config = uvicorn.Config(
        "web.app:from_environment",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=GRACE_S,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_worker_healthcheck=START_S,
    )
    if workers > 1:
        Evenly(config, sockets=[]).run()
    else:
        uvicorn.Server(config).run(sockets=[listen(host, port)])


def listen(host: str, port: int, *, beside_others: bool = False) -> socket.socket:
    """A bound socket; `beside_others` of the same port, among which the kernel deals out new connections.

    Raises: OSError.
    """
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, beside_others)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or each answer's body waits 40 ms behind its head
    try:
        listening.bind((host, port))
    except OSError:
        listening.close()
        raise
    listening.set_inheritable(True)
    return listening


class Evenly(Multiprocess):
    """Each process with a socket of its own: of one they share, whoever wakes first takes nearly all of a burst."""

    @property
    def sockets(self) -> list[socket.socket]:
        return [listen(self.config.host, self.config.port, beside_others=True)]

    @sockets.setter
    def sockets(self, given: list[socket.socket]) -> None:
        """Asked for anew at each start of a process."""


def serve_stand_in(port: int) -> None:
    """The Stripe stand-in, until stopped."""
    uvicorn.run(fake.create_app(), host="127.0.0.1", port=port, log_level="warning")
