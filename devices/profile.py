"""How a device's samples are read: thresholds in W, spans in seconds. Kept effective-dated, one version per change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import orjson

from devices.codecs.discovery import import_discovery
from devices.codecs.families import FAMILIES, MAPPING, described_by
from marketplace.refusals import Invalid
from marketplace.zones import zone_names

P_IDLE_W = 5.0
LONGEST_S = 30 * 86400
LONGEST_MAPPING = 20_000
MOST_SERIES, LONGEST_NAME = 100, 200


@dataclass(frozen=True, slots=True)
class Profile:
    """Names and defaults of devices.md: powers in W, spans in seconds."""

    family: str = "native"
    mapping: str = ""
    """Of the family `mapping`: its description as JSON."""
    p_on: float = 100.0
    p_off: float = 60.0
    min_on: float = 60.0
    min_off: float = 120.0
    stale_after: float = 180.0
    max_gap: float = 900.0
    max_skew: float = 120.0
    max_future: float = 30.0
    backfill: float = 0.0
    rated_w: float | None = None
    p_idle: float = P_IDLE_W
    zone: str = "UTC"
    """The zone of the device's clock, for families that send local time without offset."""
    series: tuple[str, ...] = ()
    """Of a device with several, the names of those that count; all where none is named."""

    @property
    def tz(self) -> ZoneInfo:
        return ZoneInfo(self.zone)

    @property
    def every(self) -> Sequence["Profile"]:
        return (self,)

    def at(self, _instant: datetime) -> "Profile":
        return self

    def counts(self, metric: str) -> bool:
        """Whether what a series says is heard at all."""
        return not self.series or metric in self.series

    def span(self, name: str) -> timedelta:
        return timedelta(seconds=getattr(self, name))


class InForce(Protocol):
    """Which profile counts when: of a device over time, or one always.

    What is measured is read by the profile in force at its time, a message by that in force as it was received, and a span
    by that in force as it began, so that nothing that has passed is judged anew.
    """

    @property
    def every(self) -> Sequence[Profile]: ...

    def at(self, instant: datetime, /) -> Profile: ...


@dataclass(frozen=True, slots=True)
class Profiles:
    """Each since when, oldest first, one at least; the first counts before its time too."""

    dated: Sequence[tuple[datetime, Profile]]

    @property
    def every(self) -> Sequence[Profile]:
        return [profile for _, profile in self.dated]

    def at(self, instant: datetime) -> Profile:
        for since, profile in reversed(self.dated):
            if since <= instant:
                return profile
        return self.dated[0][1]


NAMES = frozenset(field.name for field in fields(Profile))
NO_NUMBERS = frozenset({"family", "mapping", "zone", "series"})


def read_profile(values: Mapping[str, Any]) -> Profile:
    """A profile from what a person or a file says. Raises: Invalid, naming the field."""
    profile = _read(values)
    if profile.family == MAPPING:
        described_by(profile.mapping)
    return profile


def stored_profile(values: Mapping[str, Any]) -> Profile:
    """The same from what was stored, where None stands for what was not given; its mapping is taken as it is, for one that is
    not accepted any more turns away its own device's messages and nobody else's. Raises: Invalid."""
    return _read({name: value for name, value in values.items() if value is not None})


def _read(values: Mapping[str, Any]) -> Profile:
    if unknown := sorted(set(values) - NAMES):
        raise Invalid(field=f"profile.{unknown[0]}", reason=f"unknown; known are {', '.join(sorted(NAMES))}")
    family, mapping = _family(values.get("family", "native"), values.get("mapping", ""))
    zone = values.get("zone", "UTC")
    if not isinstance(zone, str) or zone not in zone_names():
        raise Invalid(field="profile.zone", reason="not an IANA time zone such as Asia/Shanghai")
    numbers = {name: _number(name, value) for name, value in values.items() if name not in NO_NUMBERS}
    profile = Profile(family=family, mapping=mapping, zone=zone, series=_series(values.get("series", ())), **numbers)
    if not 0 <= profile.p_off < profile.p_on:
        raise Invalid(field="profile.p_off", reason="must lie below p_on")
    return profile


def _family(family: object, mapping: object) -> tuple[str, str]:
    """The family's name and, of one that somebody described, its description. Raises: Invalid."""
    if isinstance(family, str) and family in FAMILIES:
        return family, ""
    described = family if isinstance(family, Mapping) else mapping if family == MAPPING else None
    if isinstance(described, Mapping) and "home_assistant" in described:
        described = import_discovery(described).mapping
    try:
        text = described if isinstance(described, str) else orjson.dumps(described, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError as error:  # TOML has dates, JSON has none
        raise Invalid(field="profile.family", reason="holds what JSON cannot") from error
    if described is None:
        raise Invalid(field="profile.family", reason=f"unknown; known are {', '.join(sorted(FAMILIES))}, or a mapping")
    if len(text) > LONGEST_MAPPING:
        raise Invalid(field="profile.family", reason=f"at most {LONGEST_MAPPING} characters as JSON")
    return MAPPING, text


def _series(names: object) -> tuple[str, ...]:
    """In order, each once. Raises: Invalid."""
    given = names if isinstance(names, list | tuple) else [None]
    found = {one for one in given if isinstance(one, str) and len(one) <= LONGEST_NAME}
    if len(found) < len(set(map(str, given))) or len(found) > MOST_SERIES:
        raise Invalid(field="profile.series", reason="must be a list of at most {most} names of series", most=MOST_SERIES)
    return tuple(sorted(found))


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= max(LONGEST_S, 1e9):
        raise Invalid(field=f"profile.{name}", reason="must be a number from 0")
    return float(value)
