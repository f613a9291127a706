"""What the broker turned away, read from its log: each once, whatever is read when."""

import os
from pathlib import Path

import pytest
from paho.mqtt.enums import MQTTProtocolVersion
from sqlalchemy.orm import Session

from devices import queries
from devices.broker import start_broker
from devices.denials import LOG, LOG_BYTES, Denial, unread
from devices.intake.actions import store_denials
from devices.readings import Reason
from devices.registry.actions import broker_hash
from tests.devices.plugs import V5, V311, a_plug, die_with_will, eventually, published, turned_away

ROUTINE = b"2026-11-24T02:27:41: No will message specified.\n"
FORGED = b"2026-11-24T02:27:42: Client <unknown> disconnected, not authorised.\n"
FOREIGN = b"2026-11-24T02:27:43: Denied PUBLISH from k1 (d0, q1, r0, m1, 'd/k2/it''s (x)', ... (7 bytes))\n"


class NotStored(Exception):
    """As when the database is away."""


def read(folder: Path) -> list[Denial]:
    with unread(folder) as found:
        return found


@pytest.mark.servers
def test_a_foreign_topic_and_a_forged_login_are_told_by_the_broker_and_its_routine_is_not(tmp_path: Path) -> None:
    broker = start_broker(tmp_path / "broker", credentials=[("k1", broker_hash("one"))])
    found: list[Denial] = []
    try:
        with a_plug(broker.port, "k1", "one") as plug:
            for topic in ("d/k2/t", "d/k1/t", "elsewhere", "ingest/again/d/k1/t"):
                published(plug, topic, b"forged!")
        assert turned_away(broker.port, "k1", "guessed")
        eventually(lambda: found.extend(read(broker.folder)) or len(found) >= 4)
    finally:
        broker.stop()
    assert sorted((denial.reason, denial.client, denial.topic, denial.size) for denial in found) == [
        (Reason.FOREIGN_TOPIC, "k1", "d/k2/t", 7),
        (Reason.FOREIGN_TOPIC, "k1", "elsewhere", 7),
        (Reason.FOREIGN_TOPIC, "k1", "ingest/again/d/k1/t", 7),
        (Reason.WRONG_LOGIN, "", "", 0),
    ]
    assert "PUBLISH" not in (broker.folder / LOG).read_text().replace("Denied PUBLISH", "")


def test_what_is_turned_away_by_a_second_name_is_told_of_the_device(tmp_path: Path) -> None:
    (tmp_path / LOG).write_bytes(FOREIGN.replace(b"from k1 ", b"from k1.2 "))
    assert [denial.client for denial in read(tmp_path)] == ["k1"]


@pytest.mark.servers
@pytest.mark.parametrize("version", [V311, V5])
def test_a_will_below_the_name_of_another_is_told_and_one_below_its_own_is_not(
    tmp_path: Path, version: MQTTProtocolVersion
) -> None:
    broker = start_broker(tmp_path / "broker", credentials=[("k1", broker_hash("one")), ("k2", broker_hash("two"))])
    found: list[Denial] = []
    try:
        die_with_will(broker.port, "k1", "one", "d/k1/s", b'{"online":false}', version=version)
        die_with_will(broker.port, "k1", "one", "d/k2/s", b'{"online":false}', version=version)
        with a_plug(broker.port, "k2", "two"):
            eventually(lambda: found.extend(read(broker.folder)) or found)
    finally:
        broker.stop()
    assert {(one.reason, one.client, one.topic, one.size) for one in found} == {(Reason.FOREIGN_TOPIC, "k1", "d/k2/s", 16)}
    assert "will" in found[0].detail


CAME = b"2026-11-24T02:27:43: New client connected from 10.0.0.7:5 as k1 (p2, c1, k60, u'k1').\n"
WILL = b"2026-11-24T02:27:43: Will message specified (16 bytes) (r1, q1).\n2026-11-24T02:27:43: \td/k2/s\n"


def test_a_will_is_told_in_three_lines_wherever_the_log_ends(db: Session, tmp_path: Path) -> None:
    found: list[Denial] = []
    for end in range(len(CAME + WILL) + 1):
        (tmp_path / LOG).write_bytes((CAME + WILL)[:end])
        found += read(tmp_path)
    (tmp_path / LOG).write_bytes(CAME + WILL + CAME + WILL + FORGED)
    found += read(tmp_path)
    assert [denial.reason for denial in found] == [Reason.FOREIGN_TOPIC, Reason.FOREIGN_TOPIC, Reason.WRONG_LOGIN]
    store_denials(db, found)
    [row] = queries.rejected_of(db, "k1")
    assert (row.topic, row.size, "will" in row.detail) == ("d/k2/s", 16, True), "a minute in which it came twice counts once"


def test_a_line_is_read_once_and_only_when_it_is_whole(tmp_path: Path) -> None:
    log = tmp_path / LOG
    assert read(tmp_path) == []
    log.write_bytes(ROUTINE + FORGED + FOREIGN[:40])
    assert [denial.reason for denial in read(tmp_path)] == [Reason.WRONG_LOGIN]
    with log.open("ab") as more:
        more.write(FOREIGN[40:])
    assert [denial.topic for denial in read(tmp_path)] == ["d/k2/it''s (x)"]
    assert read(tmp_path) == []


def test_what_failed_to_be_stored_is_read_again_under_the_same_name(tmp_path: Path) -> None:
    (tmp_path / LOG).write_bytes(FOREIGN * 2)

    def fail() -> None:
        with unread(tmp_path) as found:
            names.extend(denial.id for denial in found)
            raise NotStored

    names: list[str] = []
    with pytest.raises(NotStored):
        fail()
    assert len(set(names)) == 2
    assert [denial.id for denial in read(tmp_path)] == names


def test_of_two_readers_one_reads(tmp_path: Path) -> None:
    (tmp_path / LOG).write_bytes(FOREIGN)
    with unread(tmp_path) as mine, unread(tmp_path) as theirs:
        assert (len(mine), theirs) == (1, [])


def test_a_log_read_to_its_end_is_emptied_when_it_is_long(tmp_path: Path) -> None:
    log = tmp_path / LOG
    with log.open("wb") as long:
        long.truncate(LOG_BYTES)
        long.seek(0, os.SEEK_END)
        long.write(b"\n" + FOREIGN)
    found: list[Denial] = []
    while log.stat().st_size:
        found += read(tmp_path)
    log.write_bytes(FORGED)
    found += read(tmp_path)
    assert [denial.reason for denial in found] == [Reason.FOREIGN_TOPIC, Reason.WRONG_LOGIN]


def test_denials_are_counted_to_their_device_once(db: Session, tmp_path: Path) -> None:
    (tmp_path / LOG).write_bytes(FOREIGN + FORGED)
    found = read(tmp_path)
    store_denials(db, found)
    store_denials(db, found)
    assert queries.count_rejected(db, ["k1", ""]) == {"k1": 1, "": 1}
    [row] = queries.rejected_of(db, "k1")
    assert (row.reason, row.size, row.received_at.isoformat()) == ("foreign_topic", 7, "2026-11-24T02:27:43+00:00")
