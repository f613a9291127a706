"""The payload of Sparkplug B 3.0 on the wire: its protobuf messages, as far as we read them (specification, chapter 6, payloads).

Fields that are not listed here are passed over by protobuf itself.
"""

import struct
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

from devices.codecs.strict import Unreadable
from devices.readings import Reason

PACKAGE = "pilotbench.sparkplug"
MOST_METRICS = 500
BOOLEAN = 11
Kind = descriptor_pb2.FieldDescriptorProto
METRIC = (
    ("name", 1, Kind.TYPE_STRING),
    ("alias", 2, Kind.TYPE_UINT64),
    ("timestamp", 3, Kind.TYPE_UINT64),
    ("datatype", 4, Kind.TYPE_UINT32),
    ("is_historical", 5, Kind.TYPE_BOOL),
    ("is_null", 7, Kind.TYPE_BOOL),
    ("int_value", 10, Kind.TYPE_UINT32),
    ("long_value", 11, Kind.TYPE_UINT64),
    ("float_value", 12, Kind.TYPE_FLOAT),
    ("double_value", 13, Kind.TYPE_DOUBLE),
    ("boolean_value", 14, Kind.TYPE_BOOL),
    ("string_value", 15, Kind.TYPE_STRING),
)
PAYLOAD = (("timestamp", 1, Kind.TYPE_UINT64), ("seq", 3, Kind.TYPE_UINT64))
VALUES = ("int_value", "long_value", "float_value", "double_value", "boolean_value", "string_value")


def _payload_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="pilotbench_sparkplug.proto", package=PACKAGE, syntax="proto2")
    for name, fields in (("Metric", METRIC), ("Payload", PAYLOAD)):
        described = file.message_type.add(name=name)
        for field, number, kind in fields:
            described.field.add(name=field, number=number, type=kind, label=Kind.LABEL_OPTIONAL)
    metrics = {"name": "metrics", "number": 2, "type": Kind.TYPE_MESSAGE, "label": Kind.LABEL_REPEATED}
    file.message_type[1].field.add(**metrics, type_name=f".{PACKAGE}.Metric")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.Payload"))


Payload = _payload_class()


def _signed(bits: int) -> Callable[[int], int]:
    return lambda value: value - (1 << bits) if value & (1 << (bits - 1)) else value


SIGNED: Mapping[int, tuple[int, Callable[[int], int]]] = {
    1: (8, _signed(8)),
    2: (16, _signed(16)),
    3: (32, _signed(32)),
    4: (64, _signed(64)),
}
"""Of Int8, Int16, Int32 and Int64, which travel as two's complement in an unsigned field: its width and how it is read."""


def parse(payload: bytes) -> Any:
    """Raises: Unreadable."""
    found = Payload()
    try:
        found.ParseFromString(payload)
    except (message.DecodeError, struct.error, ValueError) as error:
        raise Unreadable(Reason.SHAPE, "not a Sparkplug B payload") from error
    if not (found.HasField("timestamp") or found.metrics or found.HasField("seq")):
        raise Unreadable(Reason.SHAPE, "an empty Sparkplug B payload")
    if len(found.metrics) > MOST_METRICS:
        raise Unreadable(Reason.SHAPE, f"{len(found.metrics)} metrics, at most {MOST_METRICS}")
    if not all(isinstance(text, str) for one in found.metrics for text in (one.name, one.string_value)):
        raise Unreadable(Reason.SHAPE, "a text that is not UTF-8")  # protobuf hands on its bytes
    return found


def wanted_birth(now: datetime) -> bytes:
    """The payload of the command `Node Control/Rebirth`."""
    stamp = int(now.timestamp() * 1000)
    found = Payload(timestamp=stamp)
    found.metrics.add(name="Node Control/Rebirth", timestamp=stamp, datatype=BOOLEAN, boolean_value=True)
    return bytes(found.SerializeToString())


def value_of(metric: Any, datatype: int) -> Any:
    """The value by the type that its birth named; None where it is null or of a kind that we do not read."""
    if metric.is_null:
        return None
    field = next((name for name in VALUES if metric.HasField(name)), None)
    if field is None:
        return None
    value = getattr(metric, field)
    if field in {"int_value", "long_value"} and datatype in SIGNED:
        bits, signed = SIGNED[datatype]
        return signed(value & ((1 << bits) - 1))
    return value
