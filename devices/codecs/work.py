"""What reading one message by somebody's mapping may cost, whoever wrote the mapping and whoever sends the message.

Two bounds, for what one institution writes is run by the worker that listens to all. An expression is refused when it is saved
if it could make more of a payload than a few times its size: `[@,@][]` doubles what it is given, and twenty of them make a
million of one. What is left grows with the payload alone, and is counted as it runs.
"""

from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions
from jmespath.parser import ParsedResult
from jmespath.visitor import Options, TreeInterpreter

from devices.codecs.strict import Unreadable, depth
from devices.readings import Reason

WIDEST = 8
"""Times that an expression may repeat what it is given: the product over its lists `[a, b]`, hashes `{a: b}` and literals, for
they may stand in a row. The families that we ship come to 4."""

MOST_CALLS = 4
"""Functions in an expression: `to_string` of a text of quotes makes it twice as long each time."""

DEEPEST = 40
"""Levels of an expression, pipes in a row counted too; ours have 13. Each takes four frames of Python's thousand."""

MOST_STEPS = 100_000
"""Of one message: some 0.1 s. A message of 16 KiB with 150 values takes 10,000 by the longest of our families."""

A_STEP = 32
"""Items of a list or characters of a text that are copied in the time of one step."""


class Unbounded(ValueError):
    """An expression that is none, or that could take too much."""


def bounded(text: str) -> ParsedResult:
    """The expression, of at most the widths, functions and levels above. Raises: Unbounded."""
    too_deep = "is nested too deeply"
    if depth(text.replace("(", "[").replace(")", "]").encode(errors="replace")) > DEEPEST:
        raise Unbounded(too_deep)
    try:
        found = jmespath.compile(text)
    except JMESPathError as error:
        raise Unbounded(str(error).splitlines()[0]) from error
    except RecursionError as error:
        raise Unbounded(too_deep) from error
    width, calls, levels = _extent(found.parsed)
    if width > WIDEST:
        raise Unbounded("repeats what it is given too often: the sizes of its lists and hashes multiply to more than 8")
    if calls > MOST_CALLS:
        raise Unbounded("calls more than 4 functions")
    if levels > DEEPEST:
        raise Unbounded(too_deep)
    return found


def _extent(parsed: Any) -> tuple[int, int, int]:
    """Width, calls and levels of a parsed expression."""
    width = levels = 1
    calls, left = 0, [(parsed, 1)]
    while left:
        node, level = left.pop()
        levels = max(levels, level)
        if node["type"] in {"multi_select_list", "multi_select_dict"}:
            width *= len(node["children"])
        elif node["type"] == "literal":
            width *= max(1, _leaves(node["value"]))
        calls += node["type"] == "function_expression"
        left += [(child, level + 1) for child in node["children"] if isinstance(child, dict)]  # those of a slice are numbers
    return width, calls, levels


def _leaves(value: Any) -> int:
    if isinstance(value, list | dict):
        return sum(_leaves(one) for one in (value.values() if isinstance(value, dict) else value))
    return 1


class Work:
    """What is left of the steps that one message may take."""

    def __init__(self, steps: int = MOST_STEPS) -> None:
        self.left = steps
        self._interpreter: _Counting | None = None

    def spend(self, steps: int) -> None:
        """Raises: Unreadable where there are no more."""
        self.left -= steps
        if self.left < 0:
            raise Unreadable(Reason.EXPRESSION, "takes too long to read: the message holds too much for the paths of its mapping")

    def search(self, expression: ParsedResult, document: Any) -> Any:
        """What the expression finds; None where a function was handed another type. Raises: Unreadable."""
        self._interpreter = self._interpreter or _Counting(self)
        try:
            return self._interpreter.visit(expression.parsed, document)
        except JMESPathError:
            return None
        except Unreadable:  # there was too much of it
            raise
        except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
            said = f"{expression.expression[:100]}: {error}"
            raise Unreadable(Reason.EXPRESSION, said[:300]) from error  # the library foresees few of its own


class _Counting(TreeInterpreter):  # type: ignore[misc]
    def __init__(self, work: Work) -> None:
        super().__init__(Options(custom_functions=_Functions(work)))
        self._work = work

    def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        """As the library's own; without calls in between, for it is what most of the time goes into."""
        method = self._method_cache.get(node["type"])
        found = method(node, *args, **kwargs) if method else super().visit(node, *args, **kwargs)
        kind = type(found)
        self._work.left -= 1 + len(found) // A_STEP if kind is list or kind is str else 1
        if self._work.left < 0:
            self._work.spend(0)
        return found


class _Functions(Functions):  # type: ignore[misc]
    def __init__(self, work: Work) -> None:
        super().__init__()
        self._work = work

    def call_function(self, function_name: str, resolved_args: list[Any]) -> Any:
        """The only one that multiplies what it is given is counted before."""
        if function_name == "join" and [type(one) for one in resolved_args] == [str, list]:
            self._work.spend(len(resolved_args[0]) * len(resolved_args[1]) // A_STEP)
        return super().call_function(function_name, resolved_args)
