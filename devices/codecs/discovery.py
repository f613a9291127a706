"""Home Assistant's MQTT discovery: a mapping of ours from what devices and bridges announce; nothing they send is evaluated.

Read are the sensors of `<prefix>/sensor/[<node>/]<object>/config` and of `<prefix>/device/[<node>/]<object>/config` that tell a
power or an energy, and the availability of those. A state topic T is expected at `T` or at `<any levels>/T`, as a bridge to
`d/{key}/` delivers it; one that begins with `d/` at the same place below the device's own key. Sources: home-assistant.io,
integrations/mqtt (discovery messages, abbreviations) and sensor.mqtt; home-assistant/core, components/mqtt/abbreviations.py.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any

import orjson
from pydantic import Field

from devices.codecs.describing import Strict, read_mapping, validated
from devices.codecs.paths import WHOLE
from devices.codecs.strict import Unreadable, read_json
from devices.codecs.templates import NotOurs, Place, place_of
from marketplace.refusals import Invalid

FIELD = "profile.family.home_assistant"
MOST_CONFIGS = 100
MOST_COMPONENTS = 400
PAYLOAD_BYTES = 64 * 1024
"""A device's payload holds all its components."""

LONGEST_TOPIC = 256
MOST_NAMED = 6
"""Sensors that a refusal names."""

ABBREVIATIONS = {
    "avty": "availability",
    "avty_t": "availability_topic",
    "avty_tpl": "availability_template",
    "cmps": "components",
    "dev_cla": "device_class",
    "obj_id": "object_id",
    "p": "platform",
    "pl_avail": "payload_available",
    "pl_not_avail": "payload_not_available",
    "stat_cla": "state_class",
    "stat_t": "state_topic",
    "t": "topic",
    "uniq_id": "unique_id",
    "unit_of_meas": "unit_of_measurement",
    "val_tpl": "value_template",
}
"""Of the names that are read here."""

SHARED = (
    "availability",
    "availability_topic",
    "availability_template",
    "payload_available",
    "payload_not_available",
    "state_topic",
)
"""What the components of a device take from it where they do not say it themselves."""

UNITS = {
    "power": {"mW": 1e-3, "W": 1.0, "kW": 1e3, "MW": 1e6},
    "energy": {"Wh": 1.0, "kWh": 1e3, "MWh": 1e6, "GWh": 1e9, "kJ": 1 / 3.6, "MJ": 1e3 / 3.6},
}
"""To W and Wh."""

SPAN = re.compile(r"today|yesterday|daily|weekly|monthly|yearly|last_?(?:hour|day|week|month|year)", re.IGNORECASE)
"""In the name of a counter that begins anew with every day or month."""


class Why(StrEnum):
    """Why something that was announced is not read."""

    NO_SENSOR = "no_sensor"
    OTHER = "other_quantity"
    UNIT = "unit"
    SPAN = "begins_anew"
    NO_COUNTER = "no_counter"
    NO_TOPIC = "no_topic"
    TAKEN_BACK = "taken_back"
    TEMPLATE = "template"
    SEVERAL = "several"


@dataclass(frozen=True, slots=True)
class Taken:
    """What is read: `power`, `energy` or `online`, of which sensor or topic, where, and by what it is multiplied."""

    what: str
    name: str
    topic: str
    path: str
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class LeftOut:
    name: str
    why: Why
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Imported:
    mapping: Mapping[str, Any]
    """As `describing.read_mapping` reads it."""
    taken: Sequence[Taken]
    left_out: Sequence[LeftOut]


@dataclass(frozen=True, slots=True)
class _Sensor:
    number: int
    """Of the message that announced it."""
    names: Sequence[str]
    component: str
    config: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.names[0]

    def text(self, name: str) -> str:
        value = self.config.get(name)
        return value if isinstance(value, str) else ""


@dataclass(slots=True)
class _Found:
    """Sensors by what they tell, with their place and scale, and what is left."""

    told: dict[str, list[tuple[_Sensor, Place]]] = field(default_factory=lambda: {"power": [], "energy": []})
    left_out: list[LeftOut] = field(default_factory=list)


class ConfigIn(Strict):
    """A discovery message: its topic and its payload, as text or as the object itself."""

    topic: Annotated[str, Field(max_length=LONGEST_TOPIC)]
    payload: str | dict[str, Any]


class DiscoveryIn(Strict):
    """`take` names the sensors that count, by unique id, object id or name; without it all that tell a power or an energy."""

    home_assistant: Annotated[list[ConfigIn], Field(min_length=1, max_length=MOST_CONFIGS)]
    take: Annotated[Sequence[str], Field(max_length=20)] = ()


def import_discovery(values: Any) -> Imported:
    """The mapping that discovery messages come to. Raises: Invalid, naming the message and quoting what it cannot read."""
    said = validated(DiscoveryIn, values, "profile.family")
    found = _Found()
    sensors = [one for number, config in enumerate(said.home_assistant) for one in _sensors(number, config, found)]
    if len(sensors) > MOST_COMPONENTS:
        raise Invalid(field=FIELD, reason="more than {most} sensors", most=MOST_COMPONENTS)
    for sensor in sensors:
        if not said.take or set(said.take) & set(sensor.names):
            _sort(sensor, found, asked=bool(said.take))
    chosen = {what: _only(what, told) for what, told in found.told.items()}
    if not any(chosen.values()):
        names = ", ".join(f"{one.name} ({one.why.value})" for one in found.left_out[:MOST_NAMED])
        raise Invalid(
            field=FIELD, reason="no sensor here tells a power or an energy; announced were: {names}", names=names or "–"
        )
    taken = [_taken(what, *one) for what, one in chosen.items() if one]
    presence = _presence([one[0] for one in chosen.values() if one], found)
    messages = [_message(one, place) for one, place in zip(taken, (one[1] for one in chosen.values() if one), strict=True)]
    mapping = {"message": [*messages, *([presence[1]] if presence else []), {"topic": "{rest+}"}]}
    read_mapping(mapping, name="discovery")
    return Imported(mapping, [*taken, *([presence[0]] if presence else [])], found.left_out)


def _sensors(number: int, config: ConfigIn, found: _Found) -> Iterator[_Sensor]:
    """Each sensor that a message announces."""
    component, object_id = _announced(number, config.topic)
    try:
        sent = config.payload.encode() if isinstance(config.payload, str) else orjson.dumps(config.payload)
        values = read_json(sent, limit=PAYLOAD_BYTES) if sent.strip() else None
    except (Unreadable, UnicodeEncodeError, TypeError) as error:
        raise Invalid(
            field=f"{FIELD}.{number}.payload", reason="is no JSON that can be read ({error})", error=str(error)
        ) from error
    if values is None:
        found.left_out.append(LeftOut(object_id, Why.TAKEN_BACK))
        return
    if not isinstance(values, dict):
        raise Invalid(field=f"{FIELD}.{number}.payload", reason="is no JSON object")
    whole = _expanded(values, "")
    if component != "device":
        yield _Sensor(number, _names(whole, object_id), component, whole)
        return
    parts = whole.get("components")
    for key, part in parts.items() if isinstance(parts, dict) else ():
        if isinstance(part, dict):
            base = values.get("~")
            own = _expanded(part, base if isinstance(base, str) else "")
            merged = {**{name: whole[name] for name in SHARED if name in whole}, **own}
            yield _Sensor(number, _names(merged, str(key)), str(merged.get("platform", "")), merged)


def _announced(number: int, topic: str) -> tuple[str, str]:
    """The component and the object's id, by the topic."""
    levels = topic.split("/")
    if len(levels) >= 4 and levels[-1] == "config" and all(levels):
        for back in (4, 3):
            if len(levels) > back and levels[-back] in {"sensor", "device"}:
                return levels[-back], levels[-2]
        return levels[-3], levels[-2]
    raise Invalid(field=f"{FIELD}.{number}.topic", reason="is no discovery topic such as homeassistant/sensor/meter/power/config")


def _expanded(values: Mapping[str, Any], base: str) -> dict[str, Any]:
    """Abbreviations written out, and the base topic in the place of `~`."""
    own = values.get("~", base)
    root = own if isinstance(own, str) else ""
    found: dict[str, Any] = {}
    for name, value in values.items():
        long = ABBREVIATIONS.get(name, name)
        found[long] = _based(value, root) if long.endswith("topic") and isinstance(value, str) else value
    listed = found.get("availability")
    parts = listed if isinstance(listed, list) else [listed] if isinstance(listed, dict) else []
    if parts:
        found["availability"] = [_expanded(part, root) for part in parts[:20] if isinstance(part, dict)]
    return found


def _based(topic: str, base: str) -> str:
    """`~` stands at the begin or at the end."""
    if topic.startswith("~"):
        return base + topic[1:]
    return topic[:-1] + base if topic.endswith("~") else topic


def _names(config: Mapping[str, Any], object_id: str) -> list[str]:
    said = [config.get("unique_id"), object_id, config.get("object_id"), config.get("name")]
    return [name for name in said if isinstance(name, str) and name] or [object_id]


def _sort(sensor: _Sensor, found: _Found, *, asked: bool) -> None:
    """Where it belongs. Raises: Invalid where its template is none of ours."""
    what = sensor.text("device_class")
    unit = sensor.text("unit_of_measurement")
    if not what:
        what = next((one for one, units in UNITS.items() if unit in units), "")
    why = _why_not(sensor, what, unit)
    if why is None:
        place = _place(sensor)
        if what == "energy" and not asked and SPAN.search(f"{sensor.name} {place.path}"):
            why = Why.SPAN
        else:
            found.told[what].append((sensor, Place(place.path, place.scale * UNITS[what][unit], place.in_json)))
    if why is not None:
        found.left_out.append(LeftOut(sensor.name, why, unit if why is Why.UNIT else ""))


def _why_not(sensor: _Sensor, what: str, unit: str) -> Why | None:
    if sensor.component != "sensor":
        return Why.NO_SENSOR
    if what not in UNITS:
        return Why.OTHER
    if unit not in UNITS[what]:
        return Why.UNIT
    if what == "energy" and sensor.text("state_class") == "measurement":
        return Why.NO_COUNTER
    return None if sensor.text("state_topic") else Why.NO_TOPIC


def _place(sensor: _Sensor) -> Place:
    template = sensor.text("value_template")
    try:
        return place_of(template) if template else Place(WHOLE, in_json=False)
    except NotOurs as error:
        raise Invalid(
            field=f"{FIELD}.{sensor.number}.payload",
            reason="the template {template} of {name} is not evaluated: write its path by hand, or leave this message out",
            template=template[:200],
            name=sensor.name,
        ) from error


def _only(what: str, told: Sequence[tuple[_Sensor, Place]]) -> tuple[_Sensor, Place] | None:
    """The one; several that say the same count once. Raises: Invalid."""
    different = {(one.text("state_topic"), place): (one, place) for one, place in reversed(told)}
    if len(different) > 1:
        names = ", ".join(one.name for one, _ in list(told)[:MOST_NAMED])
        raise Invalid(
            field=FIELD,
            reason="{what} is told by {names}: name under take the one that counts, or write their sum by hand",
            what=what,
            names=names,
        )
    return next(iter(different.values()), None)


def _taken(what: str, sensor: _Sensor, place: Place) -> Taken:
    return Taken(what, sensor.name, _pattern(sensor.text("state_topic")), place.path, float(f"{place.scale:.12g}"))


def _pattern(topic: str) -> str:
    """Where the topic is found: below the device's own key if it was there, else below any branch.

    >>> _pattern("tele/plug/SENSOR"), _pattern("d/k1/plug")
    ('{branch*}/tele/plug/SENSOR', 'd/{device}/plug')
    """
    levels = topic.split("/")
    return "/".join(["d", "{device}", *levels[2:]]) if levels[0] == "d" and len(levels) > 2 else f"{{branch*}}/{topic}"


def _message(taken: Taken, place: Place) -> dict[str, Any]:
    """Alone on its topic's part of the mapping, so that it is passed over where its number is missing."""
    quantity = taken.path if taken.scale == 1 else {"path": taken.path, "scale": taken.scale}
    found: dict[str, Any] = {"topic": taken.topic}
    if not place.in_json:
        found["format"] = "scalar"
    elif taken.path != WHOLE:
        found["require"] = [taken.path]
    return {**found, taken.what: quantity}


def _presence(sensors: Sequence[_Sensor], found: _Found) -> tuple[Taken, dict[str, Any]] | None:
    """The availability of what is read; of several the last one, for bridges name their own before the device's."""
    listed = list({one[0]: one for sensor in sensors for one in _availability(sensor)}.values())
    known: list[tuple[Taken, dict[str, Any]]] = []
    for topic, template, words in listed:
        try:
            place = place_of(template) if template else Place(WHOLE, in_json=False)
        except NotOurs:
            found.left_out.append(LeftOut(topic, Why.TEMPLATE, template[:200]))
            continue
        online = {"words": words} if place.path == WHOLE else {"path": place.path, "words": words}
        where = {"format": "scalar"} if not place.in_json else {"require": [place.path]}
        pattern = _pattern(topic)
        known.append((Taken("online", topic, pattern, place.path), {"topic": pattern, **where, "online": online}))
    found.left_out += [LeftOut(one.name, Why.SEVERAL) for one, _ in known[:-1]]
    return known[-1] if known else None


def _availability(sensor: _Sensor) -> Iterator[tuple[str, str, Mapping[str, str]]]:
    """(topic, template, words) of each."""
    parts = [
        {
            **sensor.config,
            "topic": sensor.config.get("availability_topic"),
            "value_template": sensor.config.get("availability_template"),
        }
    ]
    listed = sensor.config.get("availability")
    parts += [{**sensor.config, "value_template": "", **one} for one in listed] if isinstance(listed, list) else []
    for part in parts:
        if isinstance(part.get("topic"), str):
            on, off = str(part.get("payload_available", "online")), str(part.get("payload_not_available", "offline"))
            template = part.get("value_template")
            words = {on: "true", on.lower(): "true", off: "false", off.lower(): "false"}
            yield part["topic"], template if isinstance(template, str) else "", words
