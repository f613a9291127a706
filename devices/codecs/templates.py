"""Where a Home Assistant value template looks, and what it multiplies by: a small grammar, of which nothing is ever evaluated.

    template = "{{" product "}}"
    product  = factor { ("*" | "/") factor }        one factor is the value, the others are numbers
    factor   = (value | "(" product ")") { "|" filter } | number
    value    = "value" | "value_json" { "." name | "[" ("'" text "'" | digits) "]" }
    filter   = "float" | "int" | "round" | "default" | "is_defined", with a number in brackets or without

What a filter makes of a missing number is left: a missing number is not zero. Nothing is rounded. Other arithmetic, conditions,
loops, functions and texts are no template of ours. Source: home-assistant.io, configuration/templating and sensor.mqtt.
"""

import math
import re
from dataclasses import dataclass

import orjson

from devices.codecs.paths import JMESPATH, WHOLE

LONGEST = 400
DEEPEST = 4
"""Brackets within brackets."""

MOST_STEPS = 12
TOKEN = re.compile(
    r"\s*(?:(?P<name>[A-Za-z_]\w*)|(?P<number>\d{1,12}(?:\.\d{1,12})?)|(?P<text>'[^'\\]*'|\"[^\"\\]*\")|(?P<mark>[.\[\]()|*/=-]))"
)
FILTERS = {"float", "int", "round", "default", "is_defined"}
KEYWORDS = {"default", "precision"}


class NotOurs(ValueError):
    """A template outside the grammar."""


@dataclass(frozen=True, slots=True)
class Place:
    """`path` in the payload as a mapping writes it; `scale` is what the template multiplies by."""

    path: str
    scale: float = 1.0
    in_json: bool = True


def place_of(template: str) -> Place:
    """Raises: NotOurs.

    >>> place_of("{{ value_json.aenergy.total | round(2) }}"), place_of("{{ value | float / 1000 }}").scale
    (Place(path='aenergy.total', scale=1.0, in_json=True), 0.001)
    """
    text = template.strip()
    if len(text) > LONGEST or not text.startswith("{{") or not text.endswith("}}"):
        raise NotOurs
    parser = _Parser(_tokens(text.removeprefix("{{").removesuffix("}}").removeprefix("-").removesuffix("-")))
    found = parser.product(0)
    if isinstance(found, float) or parser.kind:
        raise NotOurs
    return found


def _tokens(text: str) -> list[tuple[str, str]]:
    found, at, text = [], 0, text.rstrip()
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            raise NotOurs
        kind = match.lastgroup or ""
        found.append((kind, match[kind]))
        at = match.end()
    return found


class _Parser:
    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens, self._at = tokens, 0

    @property
    def kind(self) -> str:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else ""

    def _next(self, kind: str) -> str:
        if self.kind != kind:
            raise NotOurs
        self._at += 1
        return self._tokens[self._at - 1][1]

    def _takes(self, mark: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at] == ("mark", mark):
            self._at += 1
            return True
        return False

    def product(self, depth: int) -> Place | float:
        """The value with what it is multiplied by, or a number alone."""
        found = self._factor(depth)
        while True:
            if self._takes("*"):
                found = _times(found, self._factor(depth))
            elif self._takes("/"):
                found = _times(found, _inverse(self._factor(depth)))
            else:
                return found

    def _factor(self, depth: int) -> Place | float:
        if self.kind == "number":
            number = float(self._next("number"))
            if self._takes("|"):  # binds closer than what stands before: `x * 0.001 | round(2)` rounds the 0.001 to nothing
                raise NotOurs
            return number
        if self._takes("("):
            if depth == DEEPEST:
                raise NotOurs
            found = self.product(depth + 1)
            self._closes()
        else:
            found = self._value()
        while self._takes("|"):
            self._filter()
        return found

    def _closes(self) -> None:
        if not self._takes(")"):
            raise NotOurs

    def _value(self) -> Place:
        name = self._next("name")
        if name == "value":
            return Place(WHOLE, in_json=False)
        if name != "value_json":
            raise NotOurs
        steps: list[str] = []
        while len(steps) <= MOST_STEPS:
            if self._takes("."):
                steps.append(self._next("name"))
            elif self._takes("["):
                steps.append(self._next("text")[1:-1] if self.kind == "text" else _index(self._next("number")))
                if not self._takes("]"):
                    raise NotOurs
            else:
                return Place(_path(steps))
        raise NotOurs

    def _filter(self) -> None:
        if self._next("name") not in FILTERS:
            raise NotOurs
        if not self._takes("("):
            return
        if self.kind == "name" and self._next("name") not in KEYWORDS | {"none"}:
            raise NotOurs
        self._takes("=")
        self._takes("-")
        if self.kind == "number":
            self._next("number")
        self._closes()


def _index(number: str) -> str:
    if not number.isdecimal():
        raise NotOurs
    return number


def _path(steps: list[str]) -> str:
    """Dotted; as JMESPath where a name holds a dot itself.

    >>> _path(["ENERGY", "Power", "0"]), _path(["a.b", "c"])
    ('ENERGY.Power.0', 'jmespath:"a.b"."c"')
    """
    if not all(steps):
        raise NotOurs
    if not any("." in step or step.startswith(JMESPATH) for step in steps):
        return ".".join(steps) or WHOLE
    return JMESPATH + ".".join(orjson.dumps(step).decode() for step in steps)


def _times(one: Place | float, other: Place | float) -> Place | float:
    if isinstance(one, Place):
        if isinstance(other, Place):
            raise NotOurs
        return Place(one.path, _sane(one.scale * other), one.in_json)
    return _times(other, one) if isinstance(other, Place) else _sane(one * other)


def _inverse(found: Place | float) -> float:
    if isinstance(found, Place) or not found:
        raise NotOurs
    return 1 / found


def _sane(number: float) -> float:
    if not 0 < number <= 1e9 or not math.isfinite(number):
        raise NotOurs
    return float(f"{number:.12g}")
