"""Makes a backup while others read and write: of one moment, in whole."""

import shutil
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, inspect, select, text

from devices.archive.files import Archive, digest_of
from devices.archive.tables import ArchiveFile
from web.backups.manifest import BadBackup, Manifest

SQLITE = "database.sqlite"
REVISIONS = "alembic_version"


def make(engine: Engine, folder: Path, *, archive: Archive, now: datetime) -> Manifest:
    """Write database and archive into a folder that is empty or not there yet; the manifest comes last. Raises: BadBackup."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # it holds people's addresses and the hashes of their passwords
    if any(folder.iterdir()):
        raise BadBackup(folder=str(folder), reason="it is not empty")
    if REVISIONS not in inspect(engine).get_table_names():
        raise BadBackup(folder=str(folder), reason="the database has no tables; run: pilotbench migrate")
    sqlite = engine.dialect.name == "sqlite"
    rows, revision = _copy_sqlite(engine, folder / SQLITE) if sqlite else _copy_tables(engine, folder)
    _copy_archive(engine, archive, folder)
    files = {file.name: digest_of(file) for file in sorted(folder.iterdir())}
    found = Manifest(engine.dialect.name, revision, now.isoformat(), rows, files)
    found.write(folder)
    return found


def _copy_archive(engine: Engine, archive: Archive, folder: Path) -> None:
    """After the database: files are only ever added, so those are here that its copy names. Raises: BadBackup."""
    if ArchiveFile.__tablename__ not in inspect(engine).get_table_names():
        return
    with engine.connect() as connection:
        names = connection.execute(select(ArchiveFile.name, ArchiveFile.digest).order_by(ArchiveFile.name)).all()
    for name, digest in names:
        copy = folder / name
        if archive.path(name).is_file():
            shutil.copyfile(archive.path(name), copy)
        if not copy.is_file() or digest_of(copy) != digest:
            reason = f"{name} of the archive is missing or damaged in {archive.folder}; back up where the archive is"
            raise BadBackup(folder=str(folder), reason=reason)


def _copy_sqlite(engine: Engine, target: Path) -> tuple[dict[str, int], str]:
    """SQLite's own online copy, which sees the write-ahead log too."""
    raw: Any = engine.raw_connection()
    with closing(raw), closing(sqlite3.connect(target)) as copy:
        raw.driver_connection.backup(copy)
        check_sqlite(copy, target.parent)
        copy.execute("PRAGMA journal_mode=DELETE")
        names = [name for (name,) in copy.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = {name: copy.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in sorted(names)}
        return rows, copy.execute(f"SELECT version_num FROM {REVISIONS}").fetchone()[0]


def check_sqlite(copy: sqlite3.Connection, folder: Path) -> None:
    """Raises: BadBackup."""
    whole = copy.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    if not whole or copy.execute("PRAGMA foreign_key_check").fetchone() is not None:
        raise BadBackup(folder=str(folder), reason="the copy does not hold together")


def _copy_tables(engine: Engine, folder: Path) -> tuple[dict[str, int], str]:
    """Every table by COPY in one snapshot: what is committed meanwhile is in none of them."""
    with engine.connect().execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True) as connection:
        revision = connection.execute(text(f"SELECT version_num FROM {REVISIONS}")).scalar_one()
        names = [name for name in inspect(connection).get_table_names() if name != REVISIONS]
        return {name: _copy_table(connection, name, folder) for name in sorted(names)}, str(revision)


def _copy_table(connection: Connection, name: str, folder: Path) -> int:
    driver: Any = connection.connection.driver_connection
    with (folder / f"{name}.copy").open("wb") as file, driver.cursor() as cursor:
        with cursor.copy(f'COPY "{name}" ({columns_of(connection, name)}) TO STDOUT') as copy:
            for piece in copy:
                file.write(piece)
        return int(cursor.rowcount)


def columns_of(connection: Connection, name: str) -> str:
    """In an order that does not depend on how the table came to have them."""
    return ", ".join(sorted(f'"{column["name"]}"' for column in inspect(connection).get_columns(name)))
