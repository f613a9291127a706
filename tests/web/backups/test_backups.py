"""A backup is whole, of one moment, and gives the same database back; what is damaged is never restored."""

import json
import shutil
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import Result
from sqlalchemy import Engine, func, inspect, select, text
from typer.testing import CliRunner

from booking import actions as booking
from booking.admission import Wish
from booking.tables import Booking, Category, Claim
from devices.archive.files import archive_in
from marketplace import clock
from marketplace.db import open_engine, open_sessions
from marketplace.refusals import Refusal
from marketplace.slot import Slot
from tests.builders import a_person, a_resource
from tests.conftest import new_database
from tests.devices.archives import LATER, go, seal, worked
from tests.devices.evidences import a_device
from web.backups import making, restoring
from web.cli import app
from web.migrate import migrate

NOW = clock.now().replace(minute=0, second=0, microsecond=0)


def run(url: str, *words: str, data_dir: Path = Path("nowhere")) -> Result:
    answer = CliRunner().invoke(app, words, env={"PILOTBENCH_DATABASE_URL": url, "PILOTBENCH_DATA_DIR": str(data_dir)})
    if answer.exception and not isinstance(answer.exception, SystemExit):
        raise answer.exception
    return answer


@pytest.fixture
def engine(empty_database_url: str) -> Iterator[Engine]:
    """A migrated database with a few bookings of a line and its station."""
    made = open_engine(empty_database_url)
    migrate(made)
    with open_sessions(made).begin() as session:
        line = a_resource(session, name="线\t一\\n", summary="zwei\nZeilen\\und ein \\N")
        a_resource(session, parent_id=line.id)
        who = a_person(session).id
        for day in range(1, 4):
            book(session, line.id, who, day)
    yield made
    made.dispose()


def book(session: object, resource: str, who: str, day: int) -> None:
    start = NOW + timedelta(days=day)
    wish = Wish(resource, Slot(start, start + timedelta(hours=1)), who, None, Category.SELF)
    booking.book(session, wish=wish, now=NOW)  # type: ignore[arg-type]


@pytest.fixture
def url(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=False).replace("+psycopg", "")


@pytest.fixture
def other(database: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database to restore into."""
    folder = tmp_path / "other"
    folder.mkdir()
    return new_database(database, request, folder)


def content(engine: Engine) -> dict[str, list[str]]:
    """Every row of every table."""
    with engine.connect() as connection:
        names = inspect(connection).get_table_names()
        return {name: sorted(str(row) for row in connection.execute(text(f'SELECT * FROM "{name}"'))) for name in names}


def test_what_was_backed_up_comes_back_equal(engine: Engine, url: str, other: str, tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    assert "rows of" in run(url, "backup", str(folder)).stdout
    before = content(engine)
    with open_sessions(engine).begin() as session:
        a_person(session)
    assert "is whole" in run(url, "restore", str(folder), "--verify").stdout
    answer = run(other, "restore", str(folder))
    assert (answer.exit_code, "every invariant holds" in answer.stdout) == (0, True)
    restored = open_engine(other)
    assert content(restored) == before
    with pytest.raises(Refusal) as refused:
        run(other, "restore", str(folder))
    assert "not empty" in refused.value.values["reason"]
    assert content(restored) == before
    restored.dispose()


def test_a_database_that_was_only_migrated_takes_a_backup_too(engine: Engine, other: str, tmp_path: Path) -> None:
    making.make(engine, tmp_path / "backup", archive=archive_in(tmp_path), now=NOW)
    restored = open_engine(other)
    migrate(restored)
    restoring.restore(restored, tmp_path / "backup", archive=archive_in(tmp_path))
    assert content(restored) == content(engine)
    restored.dispose()


def test_a_backup_under_load_is_of_one_moment(engine: Engine, other: str, tmp_path: Path) -> None:
    sessions, over = open_sessions(engine), threading.Event()
    with sessions() as session:
        resource, who = session.scalars(select(Booking.resource_id)).first(), session.scalars(select(Booking.person_id)).first()

    def write() -> None:
        for day in range(10, 360):
            with sessions.begin() as session:
                book(session, str(resource), str(who), day)
            if over.wait(0.005):
                return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        made = [making.make(engine, tmp_path / f"b{number}", archive=archive_in(tmp_path), now=NOW) for number in range(3)]
    finally:
        over.set()
        writer.join()
    assert made[0].rows["bookings"] <= made[1].rows["bookings"] <= made[2].rows["bookings"]
    restored = open_engine(other)
    restoring.restore(restored, tmp_path / "b2", archive=archive_in(tmp_path))
    with open_sessions(restored)() as session:
        count = session.scalar(select(func.count()).select_from(Booking))
        assert count == made[2].rows["bookings"]
        assert session.scalar(select(func.count()).select_from(Claim)) == 2 * (count or 0)
    restored.dispose()


def test_what_is_damaged_is_never_restored(engine: Engine, url: str, other: str, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    making.make(engine, whole, archive=archive_in(tmp_path), now=NOW)
    largest = max(whole.iterdir(), key=lambda file: file.stat().st_size).name
    for number, harm in enumerate((_cut, _flip, _lose, _forge)):
        folder = tmp_path / f"damaged{number}"
        shutil.copytree(whole, folder)
        harm(folder / largest)
        for words in (("restore", str(folder)), ("restore", str(folder), "--verify")):
            with pytest.raises(Refusal) as refused:
                run(other, *words)
            assert refused.value.code == "backup_unusable"
    empty = open_engine(other)
    assert inspect(empty).get_table_names() == []
    empty.dispose()
    with pytest.raises(Refusal):
        run(url, "backup", str(whole))
    with pytest.raises(Refusal):
        run(other, "backup", str(tmp_path / "nothing"))


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def _flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def _lose(file: Path) -> None:
    file.unlink()


def _forge(file: Path) -> None:
    manifest = file.parent / "manifest.json"
    manifest.write_text(json.dumps({"database": "sqlite"}))


def test_a_backup_of_one_kind_of_database_is_not_for_the_other(engine: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    making.make(engine, folder, archive=archive_in(tmp_path), now=NOW)
    manifest = folder / "manifest.json"
    told = json.loads(manifest.read_text())
    other = {"sqlite": "postgresql", "postgresql": "sqlite"}[told["database"]]
    (folder / making.SQLITE).touch()
    manifest.write_text(json.dumps({**told, "database": other, "files": {}}))
    with pytest.raises(Refusal):
        restoring.restore(engine, folder, archive=archive_in(tmp_path))


def an_archive(engine: Engine, data_dir: Path) -> list[str]:
    """A device whose two oldest days are archived; the files' names."""
    with open_sessions(engine).begin() as session:
        device = a_device(session)
        for number in (0, 1):
            worked(session, device, number)
        seal(session, until=LATER)
        assert go(session, archive_in(data_dir).folder)
    return sorted(file.name for file in archive_in(data_dir).folder.glob("*.parquet"))


def test_the_archive_comes_back_with_the_database(engine: Engine, url: str, other: str, tmp_path: Path) -> None:
    names = an_archive(engine, tmp_path / "data")
    assert len(names) == 2
    assert run(url, "audit", data_dir=tmp_path / "data").exit_code == 0
    assert "rows of" in run(url, "backup", str(tmp_path / "backup"), data_dir=tmp_path / "data").stdout
    answer = run(other, "restore", str(tmp_path / "backup"), data_dir=tmp_path / "new")
    assert (answer.exit_code, "every invariant holds" in answer.stdout) == (0, True)
    for name in names:
        assert (tmp_path / "new" / "archive" / name).read_bytes() == (tmp_path / "data" / "archive" / name).read_bytes()
    (tmp_path / "new" / "archive" / names[0]).unlink()
    answer = run(other, "audit", data_dir=tmp_path / "new")
    assert (answer.exit_code, names[0] in answer.stdout) == (1, True)


def test_without_its_archive_no_backup_is_made_and_no_other_file_is_replaced(
    engine: Engine, url: str, other: str, tmp_path: Path
) -> None:
    names = an_archive(engine, tmp_path / "data")
    with pytest.raises(Refusal) as refused:
        run(url, "backup", str(tmp_path / "elsewhere"), data_dir=tmp_path / "other")
    assert names[0] in refused.value.values["reason"]
    assert not (tmp_path / "elsewhere" / "manifest.json").exists()
    run(url, "backup", str(tmp_path / "backup"), data_dir=tmp_path / "data")
    taken = tmp_path / "new" / "archive" / names[1]
    taken.parent.mkdir(parents=True)
    taken.write_bytes(b"another")
    with pytest.raises(Refusal):
        run(other, "restore", str(tmp_path / "backup"), data_dir=tmp_path / "new")
    assert taken.read_bytes() == b"another"
    empty = open_engine(other)
    assert inspect(empty).get_table_names() == []
    empty.dispose()
