"""The first start: a database at the newest schema with what it is to show. Whole, or begun again at the next start."""

import os
import shutil
from datetime import timedelta
from pathlib import Path

import typer
from pydantic import SecretStr
from sqlalchemy.orm import Session, sessionmaker

from marketplace import clock
from marketplace.db import open_engine, open_sessions
from marketplace.people import actions as people
from marketplace.permissions import Grant
from marketplace.refusals import Refusal
from marketplace.roles import Role
from marketplace.settings import Settings
from web import running
from web.demo import equipment, past, story
from web.demo.past import Stage
from web.migrate import migrate

STRIPE_KEY = "sk_test_stand_in"
UNFINISHED, EMPTY, FULL = "first-start-unfinished", "empty.done", "fleet.json"
"""Marks in the folder: what is only half there may be thrown away, nothing else ever is."""


class FolderTaken(Refusal):
    """The folder holds something else than what is asked for. `folder`, and `found` in words."""

    code = "folder_taken"


def prepared(data_dir: Path, stand_in: str) -> sessionmaker[Session]:
    """With people, equipment and weeks of use, built at the first start. Raises: FolderTaken."""
    if (data_dir / EMPTY).exists():
        raise FolderTaken(folder=str(data_dir), found="an empty platform that was started with --empty")
    first = _is_first(data_dir, FULL)
    sessions = _open(data_dir)
    if first:
        _build(sessions, stand_in, data_dir / FULL)
        (data_dir / UNFINISHED).unlink()
    return sessions


def prepared_empty(data_dir: Path) -> sessionmaker[Session]:
    """With one operator and nothing else. Raises: FolderTaken."""
    if (data_dir / FULL).exists():
        raise FolderTaken(folder=str(data_dir), found="the demonstration with its data")
    first = _is_first(data_dir, EMPTY)
    sessions = _open(data_dir)
    if first:
        _first_operator(sessions)
        (data_dir / EMPTY).touch()
        (data_dir / UNFINISHED).unlink()
    return sessions


def write_token(sessions: sessionmaker[Session], file: Path) -> None:
    """A new API token of the operator, in a file that only its owner may read; never half written."""
    with sessions() as session:
        person = running.first_operator(session)
        token = people.create_token(session, person_id=person.id, label="demo", now=clock.now())
        session.commit()
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(token + "\n")
    draft.replace(file)


def _is_first(data_dir: Path, done: str) -> bool:
    """Whether everything is still to be made; marks the folder as unfinished then. Raises: FolderTaken."""
    if (data_dir / done).exists():
        (data_dir / UNFINISHED).unlink(missing_ok=True)
        return False
    if (data_dir / UNFINISHED).exists():
        typer.echo("An earlier first start was interrupted; it is begun again.")
        _sweep(data_dir)
    elif (data_dir / "pilotbench.db").exists():
        raise FolderTaken(folder=str(data_dir), found="a database that is not the demonstration's")
    (data_dir / UNFINISHED).touch()
    return True


def _sweep(data_dir: Path) -> None:
    for left in data_dir.glob("pilotbench.db*"):
        left.unlink()
    (data_dir / "stripe-stand-in.json").unlink(missing_ok=True)
    shutil.rmtree(data_dir / "broker", ignore_errors=True)


def _open(data_dir: Path) -> sessionmaker[Session]:
    engine = open_engine(f"sqlite:///{data_dir / 'pilotbench.db'}")
    migrate(engine)
    return open_sessions(engine)


def _first_operator(sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        people.create_person(
            session,
            email=story.OPERATOR_EMAIL,
            name="Operator",
            password=story.PASSWORD,
            grants=[Grant(Role.OPERATOR)],
            actor_id=None,
            now=clock.now(),
        )
        session.commit()


def _build(sessions: sessionmaker[Session], stand_in: str, done: Path) -> None:
    """Everybody, everything and six weeks of use; about half a minute."""
    typer.echo("First start: building the demonstration. This is done once.")
    now = clock.now()
    born = now - timedelta(days=past.DAYS_BACK + 3)
    provider = running.provider_of(Settings(stripe_key=SecretStr(STRIPE_KEY), stripe_api_base=stand_in))
    if provider is None:
        raise RuntimeError(STRIPE_KEY)
    with sessions() as session:
        cast = story.enter(session, now=born)
        session.commit()
    fleet = equipment.fleet_of(cast, born)
    past.play(Stage(sessions, provider, cast, now), fleet, lambda step: typer.echo(f"  {step}"))
    equipment.save(fleet, done)
