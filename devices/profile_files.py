"""How a device's messages are read, as the text of a profile file: family or mapping, zone, trust in its clock.

zone = "Asia/Shanghai"

[[family.message]]
topic = "{branch*}/meter/power"
format = "scalar"
power = { path = ".", scale = 1000 }
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from devices.codecs.families import MAPPING
from devices.codecs.strict import DEPTH_LIMIT, depth
from devices.profile import Profile
from marketplace.refusals import Invalid

LONGEST = 64 * 1024
"""Bytes of text; what is kept of it has a bound of its own."""

FIELD = "profile"
READING = ("zone", "max_skew", "max_future", "backfill", "series")
"""Beside the family; thresholds are set elsewhere."""

BARE = re.compile(r"[A-Za-z0-9_-]+")
ASIDE = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'|#[^\n]*|\\.")
"""Texts and comments, in which brackets and dots mean nothing. A backslash elsewhere goes with what it stands before: looking for
the end of a text at each quote behind one would take the square of their number."""

MOST_DOTS = 64
"""Outside texts, in a line; reading a name takes the square of its parts."""


def as_text(profile: Profile) -> str:
    """What `read_text` reads as the same."""
    lines = [f"{name} = {_value(getattr(profile, name))}" for name in READING]
    if profile.family != MAPPING:
        return "\n".join([f"family = {_value(profile.family)}", *lines, ""])
    return "\n".join([*lines, *described_as_text(orjson.loads(profile.mapping))])


def described_as_text(described: Mapping[str, Any]) -> list[str]:
    """The lines of a mapping."""
    lines = []
    for name, value in described.items():
        tables = value if isinstance(value, list) else [value]
        head = f"[[family.{name}]]" if isinstance(value, list) else f"[family.{name}]"
        for table in tables:
            lines += ["", head, *(f"{_key(key)} = {_value(one)}" for key, one in _ordered(table))]
    return [*lines, ""]


FIRST = ("topic", "format", "each", "require")


def _ordered(table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """As people write it: the topic first."""
    yield from ((name, table[name]) for name in FIRST if name in table)
    yield from ((name, value) for name, value in table.items() if name not in FIRST)


def _key(name: str) -> str:
    return name if BARE.fullmatch(name) else _value(name)


def _value(value: Any) -> str:
    """In one line.

    >>> _value({"path": "a", "words": {"on air": "RUN"}, "scale": 1000.0})
    '{ path = "a", words = { "on air" = "RUN" }, scale = 1000 }'
    """
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_key(name)} = {_value(one)}" for name, one in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(one) for one in value)}]"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return orjson.dumps(value).decode().replace("\x7f", "\\u007f")


def read_text(text: str) -> dict[str, Any]:
    """The values of a profile, for `read_profile`. Raises: Invalid, with the line where the text is none."""
    if len(text.encode(errors="replace")) > LONGEST:
        raise Invalid(field=FIELD, reason="must have at most {longest} bytes", longest=LONGEST)
    _check_nesting(text)
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Invalid(field=FIELD, reason="is no TOML: {error}", error=str(error), line=_line_in(str(error), text)) from error
    for name in values:
        if name not in {"family", *READING}:
            raise Invalid(
                field=f"{FIELD}.{name}",
                reason="does not say how messages are read: that are {known}; thresholds have their own form",
                known=", ".join(("family", *READING)),
                line=line_of(text, name),
            )
    if not values:
        raise Invalid(field=FIELD, reason="is missing")
    return values


def _check_nesting(text: str) -> None:
    """Brackets nest within one value, and values that go over several lines are read as one; names nest by their dots.
    Raises: Invalid."""
    bare = ASIDE.sub("", text)
    dotted = next((number for number, line in enumerate(bare.splitlines(), 1) if line.count(".") > MOST_DOTS), 0)
    if dotted:
        raise Invalid(field=FIELD, reason="is nested too deeply", line=dotted)
    if depth(bare.encode(errors="replace")) > DEPTH_LIMIT:
        raise Invalid(field=FIELD, reason="is nested too deeply")


def _line_in(said: str, text: str) -> int:
    found = re.search(r"line (\d{1,6})", said)
    return int(found[1]) if found else len(text.splitlines())


def with_line(refusal: Invalid, text: str) -> Invalid:
    """The same, with the line of `text` that its field stands in, where it can be told."""
    field, part = str(refusal.values["field"]), refusal.values.get("part")
    line = refusal.values.get("line") or line_of(text, f"{field}.{part}" if part else field)
    return Invalid(**{**refusal.values, "line": line}) if line else refusal


def line_of(text: str, field: str) -> int | None:
    """The line, from 1, that a field of the profile stands in: `family.message.1.power`; None where it cannot be told.

    >>> line_of('zone = "UTC"\\n[[family.message]]\\ntopic = "a"\\npower = 7\\n', "family.message.0.power.path")
    4
    """
    parts = field.removeprefix(f"{FIELD}.").split(".")
    lines = text.splitlines()
    if len(parts) < 3 or parts[0] != "family":
        wanted = re.compile(rf"\s*\[*{re.escape(parts[0])}\b")
        return next((number for number, line in enumerate(lines, 1) if wanted.match(line)), None)
    heads = [
        number for number, line in enumerate(lines, 1) if re.match(rf"\s*\[+\s*family\s*\.\s*{re.escape(parts[1])}\s*\]", line)
    ]
    which = int(parts[2]) if parts[2].isdecimal() else 0
    if which >= len(heads):
        return None
    begin, end = heads[which], heads[which + 1] if which + 1 < len(heads) else len(lines) + 1
    key = next((part for part in parts[3 if parts[2].isdecimal() else 2 :] if not part.isdecimal()), "")
    named = re.compile(rf"\s*\"?{re.escape(key)}\"?\s*[=.]")
    return next((number for number in range(begin, end) if key and named.match(lines[number - 1])), begin)
