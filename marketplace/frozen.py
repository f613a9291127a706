"""Tables whose rows are added and never change: the database itself refuses the rest."""

from sqlalchemy import DDL, FromClause, event

SQLITE = """
CREATE TRIGGER {table}_never_{verb} BEFORE {event} ON {table}
BEGIN
  SELECT RAISE(ABORT, 'rows of {table} never change');
END
"""
POSTGRES = """
CREATE OR REPLACE FUNCTION {table}_never_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'rows of {table} never change' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER {table}_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION {table}_never_change()
"""


def freeze(table: FromClause, name: str) -> None:
    """The triggers come with the table."""
    for verb in ("update", "delete"):
        one = DDL(SQLITE.format(table=name, verb=verb, event=verb.upper())).execute_if(dialect="sqlite")  # type: ignore[no-untyped-call]
        event.listen(table, "after_create", one)
    both = DDL(POSTGRES.format(table=name).replace("%", "%%")).execute_if(dialect="postgresql")  # type: ignore[no-untyped-call]
    event.listen(table, "after_create", both)
