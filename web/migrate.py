"""Brings a database to the present schema with Alembic; the scripts are data, the metadata is handed in."""

from datetime import UTC, datetime, timedelta
from importlib import resources

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, insert, select, text
from sqlalchemy.exc import IntegrityError

from booking.tables import Booking, Claim, ClaimKind
from marketplace.refusals import Refusal
from web.schema import METADATA


class GuardMissing(Refusal):
    """The database would accept overlapping claims."""

    code = "guard_missing"


def config(engine: Engine) -> Config:
    found = Config()
    found.set_main_option("script_location", str(resources.files("marketplace") / "migrations"))
    found.attributes.update(engine=engine, metadata=METADATA)
    return found


def migrate(engine: Engine) -> None:
    """To the newest version; a database that is there already is left alone. Raises: GuardMissing."""
    command.upgrade(config(engine), "head")
    check_guard(engine)


def is_current(engine: Engine) -> bool:
    """Whether the database is at the newest version."""
    script = ScriptDirectory.from_config(config(engine))
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision() == script.get_current_head()


def check_guard(engine: Engine) -> None:
    """Look for the guard in the catalogue and try an overlapping pair in a transaction that is rolled back.

    Raises: GuardMissing.
    """
    names = {
        "postgresql": "SELECT count(*) FROM pg_constraint WHERE conname = 'claims_no_overlap' AND contype = 'x'",
        "sqlite": "SELECT count(*) / 2 FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'claims_no_overlap%'",
    }
    with engine.connect() as connection:
        outer = connection.begin()
        try:
            if connection.execute(text(names[engine.dialect.name])).scalar_one() != 1 or not _overlap_fails(connection):
                raise GuardMissing
        finally:
            outer.rollback()


def _overlap_fails(connection: Connection) -> bool:
    probe = _probe_rows(connection)
    if probe is None:
        return True
    with connection.begin_nested() as savepoint:
        try:
            connection.execute(insert(Claim), probe)
        except IntegrityError as error:
            return "claims_no_overlap" in str(error.orig)
        finally:
            if savepoint.is_active:
                savepoint.rollback()
    return False


def _probe_rows(connection: Connection) -> list[dict[str, object]] | None:
    """The same claim twice, on a booking that exists; None in a database without bookings."""
    row = connection.execute(select(Booking.id, Booking.resource_id, Booking.institution_id).limit(1)).one_or_none()
    if row is None:
        return None
    start = datetime(2000, 1, 1, tzinfo=UTC)
    claim = {
        "institution_id": row.institution_id,
        "resource_id": row.resource_id,
        "unit": 999_999,
        "lane": 0,
        "starts_at": start,
        "ends_at": start + timedelta(hours=1),
        "kind": ClaimKind.BOOKING,
        "booking_id": row.id,
        "active": True,
    }
    return [{**claim, "id": f"probe{number}"} for number in (1, 2)]
