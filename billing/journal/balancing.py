"""The database refuses entries that do not sum to zero, and legs that come later than their entry.

An entry says how many legs it has: with the last of them they sum to zero, and one more is refused. SQLite looks as each leg
comes, PostgreSQL at the end of the transaction, where an entry with fewer legs than it says is refused too.
"""

from sqlalchemy import DDL, FromClause, event

SQLITE = """
CREATE TRIGGER journal_legs_balanced AFTER INSERT ON journal_legs
BEGIN
  SELECT RAISE(ABORT, 'journal entries sum to zero') FROM (
    SELECT count(*) AS legs, sum(amount_minor) AS amount FROM journal_legs WHERE entry_id = NEW.entry_id
  ) AS found JOIN journal_entries AS entry ON entry.id = NEW.entry_id
  WHERE found.legs > entry.legs OR (found.legs = entry.legs AND found.amount <> 0);
END
"""
POSTGRES = """
CREATE OR REPLACE FUNCTION {table}_balanced() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (
    SELECT 1 FROM journal_entries AS entry LEFT JOIN journal_legs AS leg ON leg.entry_id = entry.id
    WHERE entry.id = NEW.{column} GROUP BY entry.id
    HAVING count(leg.account) <> entry.legs OR coalesce(sum(leg.amount_minor), 1) <> 0
  ) THEN
    RAISE EXCEPTION 'journal entries sum to zero' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER {table}_balanced AFTER INSERT ON {table}
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {table}_balanced()
"""


NAMED = (("journal_entries", "id"), ("journal_legs", "entry_id"))
"""Of each table the column that names the entry."""


def keep_balanced(legs: FromClause) -> None:
    """The triggers come with the legs, the later of the two tables."""
    event.listen(legs, "after_create", DDL(SQLITE).execute_if(dialect="sqlite"))  # type: ignore[no-untyped-call]
    for table, column in NAMED:
        made = DDL(POSTGRES.format(table=table, column=column)).execute_if(dialect="postgresql")  # type: ignore[no-untyped-call]
        event.listen(legs, "after_create", made)
