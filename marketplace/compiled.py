"""A statement in one database's SQL: compiled once, with how its values are turned on the way in and out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Dialect, Enum, Executable
from sqlalchemy.types import TypeEngine

_Turn = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Text:
    """The SQL and its values."""

    sql: str
    places: Sequence[str]
    """The name of the value that stands in each."""
    own: Mapping[str, Any]
    """The values that the statement brings along."""
    turns: Sequence[tuple[int, _Turn]]
    """How values are turned on the way in, by their place."""
    results: Sequence[tuple[int, _Turn]]
    """And on the way out, by the place in the row."""

    def values(self, given: Mapping[str, Any]) -> list[Any]:
        found = list(map(({**self.own, **given} if self.own else given).get, self.places))
        for place, turn in self.turns:
            found[place] = turn(found[place])
        return found

    def read(self, row: Sequence[Any]) -> Sequence[Any]:
        if not self.results:
            return row
        turned = list(row)
        for place, turn in self.results:
            turned[place] = turn(turned[place])
        return turned


def compiled(
    statement: Executable, dialect: Dialect, results: Sequence[tuple[int, _Turn]], names: list[str] | None = None
) -> Text:
    """Values go by place: a driver that had to look for their names would do so each time."""
    kind: Any = type(dialect)
    by_place: Dialect = kind(paramstyle="qmark" if dialect.name == "sqlite" else "numeric_dollar")
    made: Any = statement.compile(dialect=by_place, column_keys=names)  # type: ignore[attr-defined]
    own = {name: bind.value for name, bind in made.binds.items() if not bind.required and bind.value is not None}
    turns = {name: turn for name, bind in made.binds.items() if (turn := _turn_of(bind.type, dialect))}
    turned = [(place, turns[name]) for place, name in enumerate(made.positiontup) if name in turns]
    return Text(made.string, made.positiontup, own, turned, results)


def _turn_of(kind: TypeEngine[Any], dialect: Dialect) -> _Turn | None:
    """Of a choice the look-up alone. Raises, as it is called: LookupError, of what is not to choose from."""
    if isinstance(kind, Enum) and kind.enum_class:
        known: dict[Any, Any] = {None: None, **{one: one.value for one in kind.enum_class}}
        return known.__getitem__
    return kind.dialect_impl(dialect).bind_processor(dialect)


def turn_back(kind: TypeEngine[Any], dialect: Dialect) -> _Turn | None:
    if isinstance(kind, Enum) and kind.enum_class:
        known: dict[Any, Any] = {None: None, **{one.value: one for one in kind.enum_class}}
        return known.__getitem__
    return kind.dialect_impl(dialect).result_processor(dialect, None)
