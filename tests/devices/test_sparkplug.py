"""Sparkplug B: births name aliases, numbers tell what is missing, deaths count when and where they are said to."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from devices.codecs.describing import read_metrics
from devices.codecs.families import follow
from devices.codecs.sparkplug import Node
from devices.codecs.sparkplug_wire import Payload
from devices.codecs.strict import PAYLOAD_LIMIT
from devices.profile import read_profile
from devices.readings import Channel, Envelope, Reason, Rejected, Told

VECTORS = {
    name.split(" ")[0] + (" null" if "null" in name else " int" if "int32" in name else ""): bytes.fromhex(value)
    for name, value in json.loads((Path(__file__).parents[1] / "data" / "sparkplug_vectors.json").read_text()).items()
}
T0 = datetime(2026, 3, 10, 1, tzinfo=UTC)
BASE = "spBv1.0/lab/{kind}/edge"
FLOAT, INT32, INT64, BOOLEAN = 9, 3, 4, 11


def said(kind: str, content: bytes, second: float = 0, device: str = "oven") -> Envelope:
    topic = BASE.format(kind=kind) + (f"/{device}" if kind.startswith("D") else "")
    return Envelope(topic, content, T0 + timedelta(seconds=second))


def payload(seq: int | None = None, at: float = 0, **metrics: Any) -> bytes:
    """Metrics as (datatype, value) by name, or (alias, datatype, value); an int as name stands for an alias alone."""
    made = Payload(timestamp=round((T0.timestamp() + at) * 1000))
    if seq is not None:
        made.seq = seq
    for name, (alias, datatype, value) in metrics.items():
        metric = made.metrics.add(timestamp=made.timestamp, datatype=datatype)
        if not name.startswith("_"):
            metric.name = name
        if alias is not None:
            metric.alias = alias
        field = {FLOAT: "float_value", INT32: "int_value", INT64: "long_value", BOOLEAN: "boolean_value"}[datatype]
        setattr(metric, field, value)
    return bytes(made.SerializeToString())


NBIRTH = payload(0, bdSeq=(None, INT64, 3))
DBIRTH = payload(1, Power=(1, FLOAT, 8.0))


def data(seq: int, watts: float, at: float = 0) -> bytes:
    return payload(seq, at, _1=(1, FLOAT, watts))


def followed(envelopes: Sequence[Envelope]) -> list[list[Told] | Rejected]:
    return [found for _, found in follow("sparkplug", envelopes)]


def watts(found: Sequence[list[Told] | Rejected]) -> list[float | None]:
    told = [one for part in found if not isinstance(part, Rejected) for one in part]
    return [one.reading.power_w for one in told if one.reading.channel is Channel.TELEMETRY]


def test_the_recorded_payloads_say_what_their_names_say() -> None:
    kinds = ("ndeath", "nbirth", "dbirth", "ddata", "ddata null", "ddeath")
    found = followed([said(kind.split(" ")[0].upper(), VECTORS[kind], number) for number, kind in enumerate(kinds)])
    assert not any(isinstance(part, Rejected) for part in found), found
    ndeath, nbirth, dbirth, running, kept, ended = found
    assert [one.reading.online for one in (ndeath[0], nbirth[0], dbirth[0], ended[0])] == [False, True, True, False]  # type: ignore[index]
    assert (ended[0].reading.metric, ended[0].reading.measured_at is not None) == ("oven", True)  # type: ignore[index]
    (born,) = [one.reading for one in dbirth if one.reading.channel is Channel.TELEMETRY]  # type: ignore[union-attr]
    assert (born.power_w, born.energy_wh, born.state) == (35.5, 6294.0, "IDLE")
    (run,) = [one.reading for one in running]  # type: ignore[union-attr]
    assert (run.power_w, run.state, run.energy_wh) == (1250.0, "RUN", None)
    (old,) = kept  # type: ignore[misc]
    assert (old.reading.historical, old.reading.power_w, old.reading.energy_wh) == (True, 900.0, None)
    assert old.reading.measured_at < run.measured_at  # type: ignore[operator]


def test_signed_numbers_come_back_by_the_type_that_they_have() -> None:
    profile = read_profile({"family": {"sparkplug": {"power": "Temp"}}})
    envelopes = [said("NBIRTH", NBIRTH), said("DBIRTH", DBIRTH), said("DDATA", VECTORS["ddata int"], 1)]
    *_, found = [found for _, found in follow(profile.family, envelopes, mapping=profile.mapping)]
    assert watts([found]) == [-5.0]


def test_what_was_never_named_is_turned_away_and_a_birth_is_wanted() -> None:
    node = Node(read_profile_message())
    early = list(node.follow([said("DDATA", data(2, 9.0))]))
    assert isinstance(early[0][1], Rejected)
    assert early[0][1].reason is Reason.UNKNOWN_ALIAS
    assert node.wants_birth
    list(node.follow([said("NBIRTH", NBIRTH)]))
    assert not node.wants_birth


def read_profile_message() -> Any:
    return read_metrics({"power": "Power"})


def test_a_new_birth_voids_every_alias() -> None:
    again = payload(0, bdSeq=(None, INT64, 4))
    found = followed([said("NBIRTH", NBIRTH), said("DBIRTH", DBIRTH), said("NBIRTH", again), said("DDATA", data(1, 9.0))])
    assert isinstance(found[-1], Rejected)


def test_what_came_out_of_order_is_put_in_order() -> None:
    messages = [said("NBIRTH", NBIRTH), said("DBIRTH", DBIRTH)]
    messages += [said("DDATA", data(number, float(number), number), 1) for number in (3, 4, 2)]
    assert watts(followed(messages)) == [8.0, 2.0, 3.0, 4.0]


def test_numbers_go_round() -> None:
    messages = [said("NBIRTH", payload(254, bdSeq=(None, INT64, 3))), said("DBIRTH", payload(255, Power=(1, FLOAT, 8.0)))]
    messages += [said("DDATA", data(number % 256, float(number), number), number - 255) for number in range(256, 900)]
    assert watts(followed(messages)) == [8.0, *(float(number) for number in range(256, 900))]


def test_a_hole_is_waited_for_and_then_a_birth_is_wanted() -> None:
    node = Node(read_profile_message())
    born = [said("NBIRTH", NBIRTH), said("DBIRTH", payload(1, Power=(1, FLOAT, 8.0)))]
    after = [said("DDATA", data(3, 3.0, 3), 1), said("DDATA", data(4, 4.0, 4), 2), said("DDATA", data(5, 5.0, 5), 4)]
    assert watts([found for _, found in node.follow([*born, *after])]) == [8.0, 3.0, 4.0, 5.0]
    assert node.wants_birth


@pytest.mark.parametrize("first", [2, 60, 129, 250])
def test_after_births_of_long_ago_the_first_number_is_taken_as_it_comes(first: int) -> None:
    node = Node(read_profile_message())
    born = [said("NBIRTH", NBIRTH), said("DBIRTH", payload(1, Power=(1, FLOAT, 8.0)))]
    later = [said("DDATA", data((first + n) % 256, float(n), 18_000 + n), 18_000 + n) for n in (0, 2, 1, 3, 4)]
    found = list(node.follow([*born, *later], since=T0 + timedelta(hours=1)))
    assert watts([told for _, told in found]) == [8.0, 0.0, 1.0, 2.0, 3.0, 4.0]
    assert not node.wants_birth


def test_the_death_of_another_connection_ends_nothing() -> None:
    old, own = payload(bdSeq=(None, INT64, 2)), payload(bdSeq=(None, INT64, 3))
    found = followed([said("NBIRTH", NBIRTH), said("DBIRTH", DBIRTH), said("NDEATH", old), said("DDATA", data(2, 9.0))])
    assert found[2] == []
    assert watts(found) == [8.0, 9.0]
    found = followed([said("NBIRTH", NBIRTH), said("DBIRTH", DBIRTH), said("NDEATH", own), said("DDATA", data(2, 9.0))])
    assert isinstance(found[-1], Rejected)


@pytest.mark.parametrize(
    "content", [b"", b"\x00", b"\xff" * 40, b"{}", b"\x08", b"\x12\xff\xff\xff\xff\x0f", b"x" * PAYLOAD_LIMIT]
)
@pytest.mark.parametrize("kind", ["NBIRTH", "DBIRTH", "DDATA", "NDATA", "NDEATH", "DDEATH"])
def test_a_broken_payload_is_turned_away(kind: str, content: bytes) -> None:
    (found,) = followed([said(kind, content)])
    assert isinstance(found, Rejected)


@pytest.mark.parametrize(
    "topic", ["spBv1.0/lab/DDATA/edge", "spBv1.0/lab/NDATA/edge/oven", "spBv1.0/lab/XDATA/edge", "spBv2.0/lab/NDATA/edge"]
)
def test_a_topic_of_another_form_is_turned_away(topic: str) -> None:
    (found,) = followed([Envelope(topic, NBIRTH, T0)])
    assert isinstance(found, Rejected)
