"""Makes a database of a backup: into an empty one only, proven before and after."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from alembic import command
from sqlalchemy import Connection, Engine, MetaData, inspect, text

from devices.archive.files import ARCHIVED, Archive, digest_of
from web.backups.making import REVISIONS, SQLITE, check_sqlite, columns_of
from web.backups.manifest import PIECE, BadBackup, Manifest, read
from web.migrate import config, migrate


def check(folder: Path) -> Manifest:
    """The manifest of a backup that is whole. Raises: BadBackup."""
    found = read(folder)
    if found.database == "sqlite":
        with closing(sqlite3.connect(f"file:{folder / SQLITE}?mode=ro", uri=True)) as copy:
            check_sqlite(copy, folder)
    return found


def restore(engine: Engine, folder: Path, *, archive: Archive) -> Manifest:
    """Fill a database without rows, bring it to the newest schema, and bring back the archive's files, which come first; what
    fails half way may be begun again.

    Raises: BadBackup, GuardMissing.
    """
    found = check(folder)
    if found.database != engine.dialect.name:
        raise BadBackup(folder=str(folder), reason=f"it is of {found.database}, the database is {engine.dialect.name}")
    present = _revision_without_rows(engine, folder)
    for name in found.files:
        if Path(name).suffix == ARCHIVED:
            _bring_back(archive, folder / Path(name).name, found.files[name])
    if found.database == "sqlite":
        _fill_sqlite(engine, folder / SQLITE)
    else:
        if present not in {None, found.revision}:
            raise BadBackup(folder=str(folder), reason=f"it is of schema {found.revision}, the database is at {present}")
        command.upgrade(config(engine), found.revision)
        _fill_tables(engine, folder, found)
    migrate(engine)
    return found


def _bring_back(archive: Archive, file: Path, digest: str) -> None:
    """Raises: BadBackup (another one of that name is there)."""
    archive.take_in(file)
    if digest_of(archive.path(file.name)) != digest:
        raise BadBackup(folder=str(archive.folder), reason=f"it holds another {file.name} than the backup")


def _revision_without_rows(engine: Engine, folder: Path) -> str | None:
    """The schema that is there already, None in an empty database. Raises: BadBackup (rows are there)."""
    names = inspect(engine).get_table_names()
    with engine.connect() as connection:
        filled = [name for name in names if connection.execute(text(f'SELECT 1 FROM "{name}" LIMIT 1')).first()]
        if set(filled) - {REVISIONS}:
            raise BadBackup(folder=str(folder), reason="the database it should go into is not empty")
        return str(connection.execute(text(f"SELECT version_num FROM {REVISIONS}")).scalar_one()) if filled else None


def _fill_sqlite(engine: Engine, source: Path) -> None:
    raw: Any = engine.raw_connection()
    with closing(raw), closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as copy:
        copy.backup(raw.driver_connection)
    engine.dispose()  # the connections knew the empty file


def _fill_tables(engine: Engine, folder: Path, found: Manifest) -> None:
    """All of it or nothing, each table after those that it names."""
    with engine.begin() as connection:
        known = MetaData()
        known.reflect(connection)
        for table in known.sorted_tables:
            if table.name in found.rows:
                _fill_table(connection, table.name, folder, found)


def _fill_table(connection: Connection, name: str, folder: Path, found: Manifest) -> None:
    driver: Any = connection.connection.driver_connection
    with (folder / f"{name}.copy").open("rb") as file, driver.cursor() as cursor:
        with cursor.copy(f'COPY "{name}" ({columns_of(connection, name)}) FROM STDIN') as copy:
            while piece := file.read(PIECE):
                copy.write(piece)
        if cursor.rowcount != found.rows[name]:
            raise BadBackup(folder=str(folder), reason=f"{name} has not as many rows as were written")
