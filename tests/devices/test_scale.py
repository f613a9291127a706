"""Ten thousand devices: one more is let in within moments, and those that send meanwhile lose nothing and are not put out."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from devices.broker import provision, start_broker
from devices.ingest import Ingest
from devices.registry.actions import MOST_SECOND, broker_hash
from tests.devices.fleet import Closed, Fleet
from tests.devices.plugs import eventually, listening

pytestmark = pytest.mark.servers
KNOWN, SENDING, ROUNDS = 10_000, 300, 6
PAUSE_S = 0.5
LONGEST_WAIT_S = 3.0
"""For an acknowledgement on a machine that is busy with other tests; alone it takes a tenth of a second."""
HASH = broker_hash("secret")


@contextmanager
def heard_by(ingest: Ingest) -> Iterator[set[tuple[str, bytes]]]:
    """What it took and acknowledged so far."""
    found: set[tuple[str, bytes]] = set()
    over = threading.Event()

    def take() -> None:
        while not over.is_set():
            if batch := ingest.take():
                found.update((envelope.topic, envelope.payload) for envelope in batch.envelopes)
                ingest.ack(batch)

    thread = threading.Thread(target=take)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def let_in(port: int, key: str) -> float:
    """Seconds until a device that was made known may come in."""
    began = time.monotonic()
    while time.monotonic() - began < LONGEST_WAIT_S:
        newcomer = Fleet(port)
        try:
            return newcomer.join([(key, "secret")])
        except Closed:
            time.sleep(0.02)
        finally:
            newcomer.leave()
    raise Closed(key)


def test_devices_are_added_to_ten_thousand_while_messages_flow_and_none_is_lost(tmp_path: Path) -> None:
    """As many of them as may are just getting a new secret beside the old one."""
    known = [(f"k{number:012x}", HASH) for number in range(KNOWN)]
    known += [(f"{key}.2", HASH) for key, _ in known[:MOST_SECOND]]
    broker = start_broker(tmp_path / "broker", credentials=known)
    fleet = Fleet(broker.port)
    try:
        with listening(broker.url) as ingest, heard_by(ingest) as heard:
            fleet.join([(key, "secret") for key, _ in known[: KNOWN : KNOWN // SENDING]])
            for number in range(ROUNDS):
                fleet.say()
                known.append((f"n{number:012x}", HASH))
                assert provision(broker.folder, known)
                fleet.hear(PAUSE_S)
                let_in(broker.port, known[-1][0])
            fleet.hear(PAUSE_S)
            assert fleet.unacknowledged == 0
            assert max(fleet.waits) < LONGEST_WAIT_S
            sent = {(f"d/{one.key}/t", b'{"seq":%d}' % number) for one in fleet.members for number in range(1, ROUNDS + 1)}
            eventually(lambda: sent <= heard)
            revoked = fleet.members[0].key
            provision(broker.folder, [(key, hashed) for key, hashed in known if key != revoked])
            with pytest.raises(Closed, match=revoked):
                fleet.hear(LONGEST_WAIT_S)
    finally:
        fleet.leave()
        broker.stop()
