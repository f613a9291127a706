"""Simulated equipment that publishes through a real broker, each machine with its own credential and its own will."""

import contextlib
import threading
from collections.abc import Callable, Iterable
from datetime import datetime

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from devices.machines import Machine, message, presence
from marketplace import clock

EVERY_S = 15.0
"""Between two live messages of a machine: a person who watches sees it move."""

KEEPALIVE_S = 30
GOODBYE_S = 1.0


class Simulator:
    """Machines on the broker at `host`:`port`, live from `start` to `stop`."""

    def __init__(
        self,
        host: str,
        port: int,
        machines: Iterable[Machine],
        *,
        every_s: float = EVERY_S,
        now: Callable[[], datetime] = clock.now,
    ) -> None:
        self._host, self._port, self._every_s, self._now = host, port, every_s, now
        self._machines = {machine.key: machine for machine in machines}
        self._clients: dict[str, Client] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="simulator", daemon=True)

    def start(self) -> None:
        """Connect every machine and begin publishing; connections come back by themselves."""
        for machine in list(self._machines.values()):
            self._connect(machine)
        self._thread.start()

    def stop(self) -> None:
        """Say goodbye and disconnect."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        for key, client in self._clients.items():
            goodbye = client.publish(*presence(self._machines[key], online=False), qos=1, retain=True)
            with contextlib.suppress(RuntimeError, ValueError):  # not connected: the will has said it
                goodbye.wait_for_publish(GOODBYE_S)
            client.disconnect()
            client.loop_stop()

    def change(self, machine: Machine) -> None:
        """From now on the machine of this key behaves like this, for instance runs."""
        self._machines[machine.key] = machine
        if machine.key not in self._clients:
            self._connect(machine)

    def publish_once(self) -> None:
        """One message of every machine that is not blind."""
        at = self._now()
        for machine in list(self._machines.values()):
            if not any(slot.start <= at < slot.end for slot in machine.blind):
                self._clients[machine.key].publish(*message(machine, at), qos=1)

    def _run(self) -> None:
        while not self._ended.is_set():
            self.publish_once()
            self._ended.wait(self._every_s)

    def _connect(self, machine: Machine) -> None:
        client = Client(CallbackAPIVersion.VERSION2, client_id=machine.key)
        client.suppress_exceptions = True
        client.username_pw_set(machine.key, machine.secret)
        client.will_set(*presence(machine, online=False), qos=1, retain=True)
        client.on_connect = lambda client, *_: client.publish(*presence(machine, online=True), qos=1, retain=True)
        client.reconnect_delay_set(1, 10)
        client.connect_async(self._host, self._port, keepalive=KEEPALIVE_S)
        client.loop_start()
        self._clients[machine.key] = client
