"""Puts a connected device out: a broker knows each name once, and the one who comes later has it."""

import os
import ssl
import tempfile
import threading
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from devices.certificates import Authority

log = structlog.get_logger()
PATIENCE_S = 5.0
LASTING = timedelta(minutes=5)


def put_out(host: str, port: int, authority: Authority, key: str, *, now: datetime) -> bool:
    """Connect by the device's name with a certificate of minutes and leave again; False where the broker did not answer.

    Reading anew what is revoked, Mosquitto keeps who is connected already. Whose certificate still counts comes back by itself.
    """
    connected = threading.Event()
    client = Client(CallbackAPIVersion.VERSION2, client_id=key)
    client.on_connect = lambda *_: connected.set()
    try:
        client.tls_set_context(_context(authority, key, now))
        client.connect(host, port, keepalive=10)
        client.loop_start()
        answered = connected.wait(PATIENCE_S)
        client.disconnect()
        client.loop_stop()
    except OSError as error:
        log.warning("device_not_put_out", device=key, error=str(error)[:200])
        return False
    return answered


def _context(authority: Authority, key: str, now: datetime) -> ssl.SSLContext:
    """Python reads a certificate's key from a file only; it is gone as soon as it is read."""
    made = authority.for_device(key, now=now, lasting=LASTING)
    context = ssl.create_default_context(cadata=authority.pem)
    context.check_hostname = False  # it is our own broker, which our own authority vouches for
    descriptor, name = tempfile.mkstemp()
    file = Path(name)
    try:
        with os.fdopen(descriptor, "w") as handle:
            handle.write(made.key + made.certificate)
        context.load_cert_chain(file)
    finally:
        file.unlink()
    return context
