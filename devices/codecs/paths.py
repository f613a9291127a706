"""Where in a JSON document a value lies: plain dotted names, or a JMESPath expression.

A dotted name goes by keys, and by whole numbers into lists: `params.switch:0.apower`, `d.0.v`. JMESPath begins with `jmespath:`.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

LONGEST = 400
WHOLE = "."
JMESPATH = "jmespath:"
Getter = Callable[[Any], Any]


class BadPath(ValueError):
    """An expression that is none; `part` names what of a message it was written for."""

    def __init__(self, said: str, part: str = "") -> None:
        super().__init__(said)
        self.part = part


@lru_cache(maxsize=1024)
def getter(path: str) -> Getter:
    """Reads the value from a document; None where there is none. Raises: BadPath.

    >>> getter("a.0.b")({"a": [{"b": 7}]}), getter("a.b.c")({"a": 1}), getter(".")(7)
    (7, None, 7)
    >>> getter("jmespath:d[?m=='Pt'].v | [0]")({"d": [{"m": "Pt", "v": 3}]})
    3
    """
    if not 1 <= len(path) <= LONGEST:
        raise BadPath(f"must have 1 to {LONGEST} characters")
    if path == WHOLE:
        return lambda document: document
    if path.startswith(JMESPATH):
        return _by_expression(path.removeprefix(JMESPATH))
    steps = path.split(".")
    if not all(steps):
        raise BadPath("has an empty name between its dots")
    return lambda document: _walk(document, steps)


def _walk(document: Any, steps: list[str]) -> Any:
    for step in steps:
        if isinstance(document, dict):
            document = document.get(step)
        elif isinstance(document, list) and step.isdecimal() and int(step) < len(document):
            document = document[int(step)]
        else:
            return None
    return document


def _by_expression(text: str) -> Getter:
    try:
        found = jmespath.compile(text)
    except JMESPathError as error:
        raise BadPath(str(error).splitlines()[0]) from error

    def read(document: Any) -> Any:
        try:
            return found.search(document)
        except JMESPathError:  # a function that was handed another type
            return None

    return read


def items(document: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Each value under `path` with what its key says: `params.switch:*` finds `switch:0` and says `0`; `rows.*` goes by lists.

    >>> list(items({"p": {"switch:0": 1, "ts": 2}}, "p.switch:*"))
    [('0', 1)]
    """
    if path.startswith(JMESPATH):
        found = getter(path)(document)
        yield from (("", one) for one in found or [] if isinstance(found, list))
        return
    where, _, last = path.rpartition(".")
    found = getter(where)(document) if where else document
    before, _, after = last.partition("*")
    entries = enumerate(found) if isinstance(found, list) else found.items() if isinstance(found, dict) else ()
    for key, value in entries:
        name = str(key)
        if len(name) > len(before + after) and name.startswith(before) and name.endswith(after):
            yield name[len(before) : len(name) - len(after)], value
