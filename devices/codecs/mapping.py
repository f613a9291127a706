"""A payload family as a mapping: which topics carry what, where in the payload, in which unit, clock and words.

One reader for the families that we ship (devices/families/*.toml) and for those that people write. A family is a list of
messages; the first ones whose topic matches read the payload, all that name the same topic. See docs/payload-families.md.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from devices.codecs.paths import Getter, items
from devices.codecs.strict import LARGEST, Unreadable, read_json, read_number, read_wall, was_set
from devices.codecs.work import Work
from devices.readings import Channel, Reading, Reason, Relay

NUMBER = re.compile(r"[+-]?\d{1,18}(\.\d{1,18})?([eE][+-]?\d{1,3})?")
LONGEST_WORD = 80
PART = 10
"""Steps of work that a reading takes beside its paths."""

UNKNOWN = "UNKNOWN"
"""What a word is mapped to that says that nobody knows: no sample, not even a heartbeat."""


class Format(StrEnum):
    JSON = "json"
    SCALAR = "scalar"
    """The payload is the value: a number or a word."""
    EITHER = "either"
    """A JSON object, or else a value."""


class Clock(StrEnum):
    """How a device writes the time."""

    ISO = "iso"
    """ISO 8601, with an offset or in the zone of the device."""
    EPOCH_S = "epoch_s"
    EPOCH_MS = "epoch_ms"
    COMPACT = "compact"
    """`20211124101800`, in the zone of the device."""
    ANY = "any"
    """A text is ISO 8601, a number the time since 1970, in milliseconds where seconds would lie past the year 5000."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number: the sum of what lies under the paths, times `scale`, in W or Wh."""

    paths: tuple[Getter, ...]
    scale: float


@dataclass(frozen=True, slots=True)
class Word:
    """A word and what it means. A word that is not listed is what it says."""

    paths: tuple[Getter, ...]
    """The first one with a value tells."""
    words: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Moment:
    path: Getter | None
    """In the part; where it has none there, in the whole document too."""
    document: Getter | None
    """Instead: in the whole document alone."""
    clock: Clock


@dataclass(frozen=True, slots=True)
class Message:
    """What the topics of one pattern carry; nothing of what we read where all of its values are None."""

    power: Quantity | None
    energy: Quantity | None
    state: Word | None
    time: Moment | None = None
    online: Word | None = None
    relay: Word | None = None
    switched: bool = False
    """The power flows through a relay of which other messages tell."""
    form: Format = Format.JSON
    each: str | None = None
    """Under which path there are several, each with a series of its own."""
    require: tuple[Getter, ...] = ()
    """Without a value under each of these it is no measurement, and is passed over."""

    @property
    def is_quiet(self) -> bool:
        return not (self.measures or self.online or self.relay)

    @property
    def measures(self) -> bool:
        return bool(self.power or self.energy or self.state)


@dataclass(frozen=True, slots=True)
class Mapped:
    """A family that a mapping describes."""

    name: str
    topics: Mapping[str, re.Pattern[str]]
    """By how they are written, in the order in which they are tried."""
    messages: Mapping[str, Sequence[Message]]
    """By their topic."""

    def read(self, topic: str, payload: bytes, zone: ZoneInfo) -> list[Reading]:
        """The readings of a message; none where it carries no measurement. Raises: Unreadable."""
        for written, pattern in self.topics.items():
            if match := pattern.fullmatch(topic):
                metric = match.groupdict().get("metric") or ""
                told, work = [one for one in self.messages[written] if not one.is_quiet], Work()
                return joined(reading for one in told for reading in _read(one, metric, payload, zone, work))
        raise Unreadable(Reason.TOPIC, f"not a topic of {self.name}")


def joined(readings: Iterable[Reading]) -> list[Reading]:
    """What one payload says of one series at one time is one reading."""
    found: dict[tuple[object, ...], Reading] = {}
    for one in readings:
        name = (one.channel, one.metric, one.measured_at)
        found[name] = _filled(found[name], one) if name in found else one
    return list(found.values())


def _filled(before: Reading, more: Reading) -> Reading:
    return before._replace(
        power_w=before.power_w if more.power_w is None else more.power_w,
        energy_wh=before.energy_wh if more.energy_wh is None else more.energy_wh,
        state=more.state or before.state,
        relay=more.relay or before.relay,
    )


def _read(message: Message, metric: str, payload: bytes, zone: ZoneInfo, work: Work) -> Iterator[Reading]:
    document = READERS[message.form](payload)
    if message.each is None:
        yield from sample_of(message, metric, document, document, zone, work)
        return
    for name, part in items(document, message.each, work):
        yield from sample_of(message, name, part, document, zone, work)


def sample_of(message: Message, metric: str, part: Any, document: Any, zone: ZoneInfo, work: Work) -> Iterator[Reading]:
    """What the part of a document says: a reading, or nothing where it is no measurement. Raises: Unreadable."""
    work.spend(PART)
    if any(path(part, work) is None for path in message.require):
        return
    if message.online:
        online = _word(message.online, part, "presence", work)
        if online not in {"true", "false"}:
            raise Unreadable(Reason.SHAPE, "presence is neither online nor offline")
        yield Reading(Channel.PRESENCE, online=online == "true", metric=metric)
        return
    relay = _relay(message.relay, part, work) if message.relay else Relay.UNTOLD if message.switched else None
    if message.relay and not message.measures:
        if relay is not Relay.UNTOLD:
            yield Reading(Channel.RELAY, metric=metric, relay=relay)
        return
    state = _word(message.state, part, "state", work) if message.state else None
    if state == UNKNOWN:
        return
    energy = _number(message.energy, part, "energy", work) if message.energy else None
    if energy is not None and energy < 0:
        raise Unreadable(Reason.NUMBER, "energy is negative")
    yield Reading(
        Channel.TELEMETRY,
        measured_at=_time(message.time, part, document, zone, work) if message.time else None,
        power_w=_number(message.power, part, "power", work) if message.power else None,
        energy_wh=energy,
        state=state,
        metric=metric,
        relay=relay,
    )


def _scalar(payload: bytes) -> str:
    try:
        return payload.decode().strip()
    except UnicodeDecodeError as error:
        raise Unreadable(Reason.SHAPE, "not UTF-8") from error


def _number(quantity: Quantity, part: Any, name: str, work: Work) -> float | None:
    """The sum; None where one is missing, for a missing number is not zero."""
    total = 0.0
    for path in quantity.paths:
        number = read_number(_plain(path(part, work), name), name)
        if number is None:
            return None
        total += number
    found = total * quantity.scale
    if not math.isfinite(found) or abs(found) > LARGEST:
        raise Unreadable(Reason.NUMBER, f"{name} is out of range")
    return round(found, 6)


def _plain(value: Any, name: str) -> Any:
    """Meters behind gateways write numbers as texts."""
    if not isinstance(value, str):
        return value
    if not NUMBER.fullmatch(value):
        raise Unreadable(Reason.NUMBER, f"{name} is not a number")
    return float(value)


def _relay(word: Word, part: Any, work: Work) -> Relay:
    """A word that is not listed tells nothing, and turns no measurement away."""
    said = word.words.get(str(_first(word, part, work)))
    return Relay(said) if said in {Relay.CLOSED, Relay.OPEN} else Relay.UNTOLD


def _first(word: Word, part: Any, work: Work) -> Any:
    """The first value, a truth or a whole number as its word."""
    value = next((found for path in word.paths if (found := path(part, work)) is not None), None)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else value


def _word(word: Word, part: Any, name: str, work: Work) -> str | None:
    value = _first(word, part, work)
    if value is None:
        return None
    if not isinstance(value, str) or not 1 <= len(value) <= LONGEST_WORD or not value.isprintable():
        raise Unreadable(Reason.SHAPE, f"{name} is not a word of 1 to {LONGEST_WORD} characters")
    return word.words.get(value, value[:40])


def _time(moment: Moment, part: Any, document: Any, zone: ZoneInfo, work: Work) -> datetime | None:
    """By the part's own time, else by the whole document's; None where missing or never set."""
    value = moment.path(part, work) if moment.path else None
    value = (moment.document or moment.path or _nothing)(document, work) if value is None else value
    if value is None:
        return None
    found = CLOCKS[moment.clock](value, zone)
    return found if found and was_set(found) else None


def _nothing(_document: Any, _work: Work) -> None:
    return None


def _compact(value: Any, zone: ZoneInfo) -> datetime:
    try:
        return datetime.strptime(str(value), "%Y%m%d%H%M%S").replace(tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Unreadable(Reason.TIME, "not a time such as 20211124101800") from error


def _epoch(per_second: int) -> Callable[[Any, ZoneInfo], datetime]:
    def read(value: Any, _zone: ZoneInfo) -> datetime:
        number = _plain(value, "time")
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= 1e11 * per_second:
            raise Unreadable(Reason.TIME, "not a time since 1970")
        return datetime.fromtimestamp(min(number / per_second, 253_402_300_799), UTC)

    return read


def _any(value: Any, zone: ZoneInfo) -> datetime | None:
    if isinstance(value, str) and not NUMBER.fullmatch(value):
        return read_wall(value, zone)
    number = _plain(value, "time")
    milliseconds = isinstance(number, int | float) and number > 1e11
    return CLOCKS[Clock.EPOCH_MS if milliseconds else Clock.EPOCH_S](number, zone)


CLOCKS: Mapping[Clock, Callable[[Any, ZoneInfo], datetime | None]] = {
    Clock.ISO: read_wall,
    Clock.EPOCH_S: _epoch(1),
    Clock.EPOCH_MS: _epoch(1000),
    Clock.COMPACT: _compact,
    Clock.ANY: _any,
}

READERS: Mapping[Format, Callable[[bytes], Any]] = {
    Format.JSON: read_json,
    Format.SCALAR: _scalar,
    Format.EITHER: lambda payload: read_json(payload) if payload.lstrip().startswith(b"{") else _scalar(payload),
}
