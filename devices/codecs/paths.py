"""Where in a JSON document a value lies: plain dotted names, or a JMESPath expression.

A dotted name goes by keys, and by whole numbers into lists: `params.switch:0.apower`, `d.0.v`. JMESPath begins with `jmespath:`;
what an expression may look like, and what reading one message may cost, is bounded in `devices/codecs/work.py`.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from devices.codecs.work import Unbounded, Work, bounded

LONGEST = 400
WHOLE = "."
JMESPATH = "jmespath:"
Getter = Callable[[Any, Work], Any]
"""The value in a document, at a cost. Raises: Unreadable."""


class BadPath(ValueError):
    """An expression that is none; `part` names what of a message it was written for."""

    def __init__(self, said: str, part: str = "") -> None:
        super().__init__(said)
        self.part = part


@lru_cache(maxsize=1024)
def getter(path: str) -> Getter:
    """Reads the value from a document; None where there is none. Raises: BadPath.

    >>> getter("a.0.b")({"a": [{"b": 7}]}, Work()), getter("a.b.c")({"a": 1}, Work()), getter(".")(7, Work())
    (7, None, 7)
    >>> getter("jmespath:d[?m=='Pt'].v | [0]")({"d": [{"m": "Pt", "v": 3}]}, Work())
    3
    """
    if not 1 <= len(path) <= LONGEST:
        raise BadPath(f"must have 1 to {LONGEST} characters")
    if path == WHOLE:
        return lambda document, _work: document
    if path.startswith(JMESPATH):
        return _by_expression(path.removeprefix(JMESPATH))
    steps = path.split(".")
    if not all(steps):
        raise BadPath("has an empty name between its dots")
    return lambda document, work: _walk(document, steps, work)


def _walk(document: Any, steps: list[str], work: Work) -> Any:
    work.spend(len(steps))
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
        found = bounded(text)
    except Unbounded as error:
        raise BadPath(str(error)) from error
    return lambda document, work: work.search(found, document)


def check_items(path: str) -> None:
    """Raises: BadPath where `items` could not go by it."""
    where = path if path.startswith(JMESPATH) else path.rpartition(".")[0]
    if where:
        getter(where)


def items(document: Any, path: str, work: Work) -> Iterator[tuple[str, Any]]:
    """Each value under `path` with what its key says: `params.switch:*` finds `switch:0` and says `0`; `rows.*` goes by lists.

    >>> list(items({"p": {"switch:0": 1, "ts": 2}}, "p.switch:*", Work()))
    [('0', 1)]
    """
    if path.startswith(JMESPATH):
        found = getter(path)(document, work)
        yield from (("", one) for one in found or [] if isinstance(found, list))
        return
    where, _, last = path.rpartition(".")
    found = getter(where)(document, work) if where else document
    before, _, after = last.partition("*")
    entries = enumerate(found) if isinstance(found, list) else found.items() if isinstance(found, dict) else ()
    for key, value in entries:
        work.spend(1)
        name = str(key)
        if len(name) > len(before + after) and name.startswith(before) and name.endswith(after):
            yield name[len(before) : len(name) - len(after)], value
