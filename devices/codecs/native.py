"""Our own format: `d/{key}/t` with {"ts","seq","boot","p","e","st"} and `d/{key}/s` with {"online"}.

ts in milliseconds UTC, p in W, e the counter in Wh, st one of OFF, IDLE, RUN, HELD, DOWN.
"""

from typing import Any
from zoneinfo import ZoneInfo

from devices.codecs.strict import Unreadable, read_epoch_ms, read_number, read_object, read_text
from devices.readings import Channel, Reading, Reason

LARGEST_SEQ = 2**53


def decode(tail: str, payload: bytes, _zone: ZoneInfo) -> list[Reading]:
    """`tail` is the topic after the device's own part: `t` or `s`. Raises: Unreadable."""
    if tail not in {"t", "s"}:
        raise Unreadable(Reason.TOPIC, f"no such channel: {tail[:40]}")
    body = read_object(payload)
    if tail == "s":
        return [_presence(body)]
    energy = read_number(body.get("e"), "e")
    if energy is not None and energy < 0:
        raise Unreadable(Reason.NUMBER, "e is negative")
    return [
        Reading(
            Channel.TELEMETRY,
            measured_at=read_epoch_ms(body.get("ts")),
            power_w=read_number(body.get("p"), "p"),
            energy_wh=energy,
            state=read_text(body.get("st"), "st"),
            boot=read_text(body.get("boot"), "boot"),
            seq=_seq(body.get("seq")),
        )
    ]


def _seq(value: object) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST_SEQ):
        raise Unreadable(Reason.NUMBER, "seq is not a whole number from 0")
    return value


def _presence(body: dict[str, Any]) -> Reading:
    online = body.get("online")
    if not isinstance(online, bool):
        raise Unreadable(Reason.SHAPE, "online is neither true nor false")
    return Reading(Channel.PRESENCE, online=online)
