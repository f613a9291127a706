"""What stands between paho and the socket: bytes come out as they went in, whatever pieces they are asked for in."""

import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from devices.broker_client import CHUNK_BYTES, BrokerClient, Buffered

PAIRS = st.lists(st.integers(1, 300), min_size=1, max_size=40)


@given(st.binary(min_size=1, max_size=2000), PAIRS, PAIRS)
def test_what_is_sent_comes_out_in_its_order(data: bytes, sent: list[int], asked: list[int]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        buffered, found, at, turn = Buffered(ours), b"", 0, 0
        while len(found) < len(data):
            at += theirs.send(data[at : at + sent[turn % len(sent)]])
            turn += 1
            found += buffered.recv(asked[turn % len(asked)])
            while buffered.pending():
                found += buffered.recv(asked[turn % len(asked)])
        assert found == data
        with pytest.raises(BlockingIOError):
            buffered.recv(1)
        theirs.close()
        assert buffered.recv(1) == b""


def test_the_end_of_a_connection_is_told_after_what_came_before_it() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        theirs.send(b"ab")
        theirs.close()
        buffered = Buffered(ours)
        assert [buffered.recv(1), buffered.pending(), buffered.recv(5), buffered.recv(5)] == [b"a", 1, b"b", b""]


def test_a_thousand_messages_are_acknowledged_in_one_packet() -> None:
    """A broker of a few lines: it says yes, sends a thousand messages of QoS 1 and waits for as many acknowledgements."""
    mids, got, said = list(range(1, 1001)), list[int](), bytearray()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        told = threading.Thread(target=_serve, args=(listener, mids, said))
        told.start()
        client = BrokerClient(CallbackAPIVersion.VERSION2, "ours", protocol=MQTTProtocolVersion.MQTTv5, manual_ack=True)
        done = threading.Event()

        def take(_client: object, _data: object, message: object) -> None:
            got.append(message.mid)  # type: ignore[attr-defined]
            if len(got) == len(mids):
                done.set()

        client.on_message = take
        client.connect(*listener.getsockname())
        client.loop_start()
        assert done.wait(10)
        assert not said
        client.ack_all(())
        client.ack_all(got)
        told.join(10)
        client.loop_stop()
    assert got == mids
    assert bytes(said) == b"".join(b"\x40\x02" + mid.to_bytes(2) for mid in mids)


def _serve(listener: socket.socket, mids: list[int], said: bytearray) -> None:
    peer, _ = listener.accept()
    with peer:
        peer.recv(CHUNK_BYTES)
        peer.sendall(b"\x20\x03\x00\x00\x00")
        messages = (b"\x00\x01t" + mid.to_bytes(2) + b"\x00" + b"x" * 100 for mid in mids)
        peer.sendall(b"".join(b"\x32" + bytes([len(message)]) + message for message in messages))
        while len(said) < 4 * len(mids):
            said += peer.recv(CHUNK_BYTES)
