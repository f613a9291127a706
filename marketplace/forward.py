"""States that only move forward: the database itself refuses the rest."""

from collections.abc import Collection, Mapping
from typing import TypeVar

from sqlalchemy import DDL, FromClause, event

_State = TypeVar("_State", bound=str)

SQLITE = """
CREATE TRIGGER {table}_forward_only BEFORE UPDATE OF state ON {table} WHEN NOT ({allowed})
BEGIN
  SELECT RAISE(ABORT, 'states of {table} only move forward');
END
"""
POSTGRES = """
CREATE OR REPLACE FUNCTION {table}_forward_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'states of {table} only move forward' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER {table}_forward_only BEFORE UPDATE OF state ON {table}
FOR EACH ROW WHEN (NOT ({allowed})) EXECUTE FUNCTION {table}_forward_only()
"""


def keep_forward(table: FromClause, name: str, moves: Mapping[_State, Collection[_State]]) -> None:
    """The trigger comes with the table; from each state of `moves` to those that it names, from any other to none."""
    for dialect, text in (("sqlite", SQLITE), ("postgresql", POSTGRES)):
        made = text.format(table=name, allowed=allowed(moves)).replace("%", "%%")
        event.listen(table, "after_create", DDL(made).execute_if(dialect=dialect))  # type: ignore[no-untyped-call]


def allowed(moves: Mapping[_State, Collection[_State]]) -> str:
    """
    >>> allowed({"open": ["closed"]})
    "OLD.state = NEW.state OR (OLD.state = 'open' AND NEW.state IN ('closed'))"
    """
    steps = [(one, ", ".join(f"'{to}'" for to in later)) for one, later in moves.items()]
    return " OR ".join(["OLD.state = NEW.state", *(f"(OLD.state = '{one}' AND NEW.state IN ({later}))" for one, later in steps)])
