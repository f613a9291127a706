"""Runs ASGI applications with uvicorn, and names a taken port before it hurts."""

import socket

import uvicorn
from uvicorn.supervisors import Multiprocess

from billing.providers import fake
from marketplace.refusals import Refusal

GRACE_S = 5
"""How long open streams may delay a stop."""
START_S = 60
"""A worker that has said nothing for so long is replaced; on a busy machine its imports alone take more than the usual five."""


class PortTaken(Refusal):
    """Something else listens there. `port` is it."""

    code = "port_taken"


def check_port(host: str, port: int) -> None:
    """Raises: PortTaken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
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
        timeout_graceful_shutdown=GRACE_S,
        timeout_worker_healthcheck=START_S,
    )
    listening = config.bind_socket()
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or each answer's body waits 40 ms behind its head
    if workers > 1:
        Multiprocess(config, sockets=[listening]).run()
    else:
        uvicorn.Server(config).run(sockets=[listening])


def serve_stand_in(port: int) -> None:
    """The Stripe stand-in, until stopped."""
    uvicorn.run(fake.create_app(), host="127.0.0.1", port=port, log_level="warning")
