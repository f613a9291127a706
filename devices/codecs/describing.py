"""Reads the description of a mapping, from a TOML file or from a person, into the mapping that reads payloads."""

import re
import tomllib
from collections.abc import Callable
from collections.abc import Mapping as Values
from dataclasses import replace
from importlib import resources
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from devices.codecs.mapping import Clock, Format, Mapped, Message, Moment, Quantity, Word
from devices.codecs.paths import LONGEST as LONGEST_PATH
from devices.codecs.paths import WHOLE, BadPath, check_items, getter
from devices.codecs.topics import BadPattern, matcher
from marketplace.refusals import Invalid

FIELD = "profile.family"
MOST_MESSAGES = 40
MOST_WORDS = 100
VOCABULARIES: Values[str, Values[str, str]] = {
    name: table["words"]
    for name, table in tomllib.loads((resources.files("devices") / "vocabularies.toml").read_text("utf-8")).items()
}
"""What the words of a standard mean, by its name: packml, lads, e10, mtconnect."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


_Made = TypeVar("_Made")


def _made(part: str, make: Callable[[], _Made]) -> _Made:
    """Raises: BadPath, naming the part."""
    try:
        return make()
    except BadPath as error:
        raise BadPath(str(error), part) from error


def _path_alone(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


class QuantityIn(Strict):
    """`path`, or `sum` of several; `scale` brings it to W or Wh."""

    path: str | None = None
    sum: Annotated[list[str], Field(max_length=16)] = []
    scale: Annotated[float, Field(gt=0, le=1e9, strict=False)] = 1.0

    def made(self) -> Quantity:
        paths = [*([self.path] if self.path is not None else []), *self.sum]
        if not paths:
            raise BadPath("names no path")
        return Quantity(tuple(getter(path) for path in paths), self.scale)


class TimeIn(Strict):
    """`path` in the part or in the whole, or `document` in the whole alone."""

    path: str | None = None
    document: str | None = None
    format: Literal["iso", "epoch_s", "epoch_ms", "compact", "any"] = "iso"

    def made(self) -> Moment:
        if (self.path is None) == (self.document is None):
            raise BadPath("names no path, or two")
        return Moment(
            getter(self.path) if self.path else None, getter(self.document) if self.document else None, Clock(self.format)
        )


class WordIn(Strict):
    """`words` say what each word means: RUN, IDLE, OFF, HELD, DOWN or UNKNOWN; of presence `true` or `false`, of a relay
    `closed` or `open`."""

    path: str = WHOLE
    first: Annotated[list[str], Field(max_length=8)] = []
    """Instead of one path: several, of which the first with a value tells."""
    vocabulary: str | None = None
    words: Annotated[dict[str, str], Field(max_length=MOST_WORDS)] = {}

    def made(self) -> Word:
        if self.vocabulary is not None and self.vocabulary not in VOCABULARIES:
            raise BadPath(f"knows no vocabulary of that name; known are {', '.join(sorted(VOCABULARIES))}")
        known = VOCABULARIES[self.vocabulary] if self.vocabulary else {}
        return Word(tuple(getter(path) for path in self.first or [self.path]), {**known, **self.words})


class SparkplugIn(Strict):
    """Which metrics of an edge node are its power, its energy and its state: a path goes by their whole names."""

    power: Annotated[QuantityIn | None, BeforeValidator(_path_alone)] = None
    energy: Annotated[QuantityIn | None, BeforeValidator(_path_alone)] = None
    state: Annotated[WordIn | None, BeforeValidator(_path_alone)] = None

    def made(self) -> Message:
        """Raises: BadPath."""
        return Message(
            power=_made("power", self.power.made) if self.power else None,
            energy=_made("energy", self.energy.made) if self.energy else None,
            state=_made("state", self.state.made) if self.state else None,
        )


class MessageIn(SparkplugIn):
    topic: str
    format: Literal["json", "scalar", "either"] = "json"
    each: Annotated[str | None, Field(min_length=1, max_length=LONGEST_PATH)] = None
    require: Annotated[list[str], Field(max_length=16)] = []
    time: Annotated[TimeIn | None, BeforeValidator(_path_alone)] = None
    online: Annotated[WordIn | None, BeforeValidator(_path_alone)] = None
    relay: Annotated[WordIn | None, BeforeValidator(_path_alone)] = None
    switched: bool = False

    def made(self) -> Message:
        """Raises: BadPath."""
        if self.each is not None:
            _made("each", lambda: check_items(self.each or ""))
        return replace(
            super().made(),
            time=_made("time", self.time.made) if self.time else None,
            online=_made("online", self.online.made) if self.online else None,
            relay=_made("relay", self.relay.made) if self.relay else None,
            switched=self.switched,
            form=Format(self.format),
            each=self.each,
            require=_made("require", lambda: tuple(getter(path) for path in self.require)),
        )


class MappingIn(Strict):
    """The messages of a family, in the order in which they are tried."""

    message: Annotated[list[MessageIn], Field(min_length=1, max_length=MOST_MESSAGES)]


_In = TypeVar("_In", bound=BaseModel)


SAID = {
    "missing": "is missing",
    "extra_forbidden": "is no word of a mapping",
    "string_type": "must be a text",
    "list_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "float_type": "must be a number",
}
"""What pydantic says in words of its own, in ours."""


def validated(kind: type[_In], values: Any, field: str) -> _In:
    """Raises: Invalid, naming the field below `field`."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join([field, *(str(part) for part in first["loc"])])
        raise Invalid(field=where, reason=SAID.get(first["type"], first["msg"])) from error


def read_metrics(values: Any) -> Message:
    """Raises: Invalid, naming the field below `profile.family.sparkplug`."""
    field = f"{FIELD}.sparkplug"
    try:
        return validated(SparkplugIn, values, field).made()
    except BadPath as error:
        raise Invalid(field=field, reason=str(error), part=error.part) from error


def read_mapping(values: Any, *, name: str) -> Mapped:
    """Raises: Invalid, naming the field below `profile.family`."""
    described = validated(MappingIn, values, FIELD)
    topics: dict[str, re.Pattern[str]] = {}
    messages: dict[str, list[Message]] = {}
    for number, message in enumerate(described.message):
        try:
            topics.setdefault(message.topic, matcher(message.topic))
            messages.setdefault(message.topic, []).append(message.made())
        except (BadPath, BadPattern) as error:
            part = error.part if isinstance(error, BadPath) else "topic"
            raise Invalid(field=f"{FIELD}.message.{number}", reason=str(error), part=part) from error
    return Mapped(name, topics, messages)
