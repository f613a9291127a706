"""`pilotbench demo`: the whole product on one machine, with weeks of history and simulated equipment that goes on live."""

import contextlib
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import structlog
import typer
import uvicorn
from pydantic import SecretStr
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from billing.providers import fake
from devices import actions as devices
from devices import queries as equipment_queries
from devices.broker import RunningBroker, start_broker
from devices.broker import free_port as loopback_port
from devices.intake import actions as intake
from devices.keeper import Keeper
from devices.machines import Machine, history
from devices.simulator import Simulator
from marketplace import clock
from marketplace.db import open_engine, open_sessions
from marketplace.people import actions as people
from marketplace.permissions import Grant
from marketplace.refusals import Refusal
from marketplace.roles import Role
from marketplace.settings import Settings
from marketplace.slot import Slot
from web import running, server
from web.app import create_app
from web.brokering import come_back, kept_running
from web.demo import equipment, past, story
from web.demo.equipment import Fleet
from web.demo.stage import Stage, midnight, today_of
from web.migrate import migrate

log = structlog.get_logger()
STRIPE_KEY = "sk_test_stand_in"
WEBHOOK_SECRET = "whsec_stand_in"
KEEP_EVERY_S, STOP_S = 20.0, 15.0
MISSED_AT_MOST = timedelta(hours=12)
"""A machine remembers so much of what it measured while the product was off; loading it takes well under a second."""

UNFINISHED, EMPTY, FULL = "first-start-unfinished", "empty.done", "fleet.json"
"""Marks in the folder: what is only half there may be thrown away, nothing else ever is."""


class FolderTaken(Refusal):
    """The folder holds something else than what is asked for. `folder`, and `found` in words."""

    code = "folder_taken"


def run(*, port: int, data_dir: Path, token_file: Path | None, empty: bool) -> None:
    """Build what is not there yet, then serve until SIGINT or SIGTERM. Raises: PortTaken, FolderTaken, BrokerUnavailable."""
    server.check_port("127.0.0.1", port)
    data_dir = data_dir.resolve()
    data_dir.mkdir(parents=True, exist_ok=True)
    for kind in (signal.SIGTERM, signal.SIGINT):
        signal.signal(kind, _leave)
    signal.signal(signal.SIGHUP, _hang_up)
    with contextlib.ExitStack() as running_things:
        stand_in = running_things.enter_context(stand_in_for_stripe(data_dir, port))
        sessions = prepared_empty(data_dir) if empty else prepared(data_dir, stand_in)
        if token_file:
            write_token(sessions, token_file)
        broker = running_things.enter_context(broker_of(data_dir, sessions))
        settings = settings_of(data_dir, port, stand_in, broker)
        worker = running.worker_of(settings, sessions)
        if not empty:
            catch_up(data_dir, sessions)
        worker.start()
        running_things.callback(worker.stop)
        if not empty:
            running_things.enter_context(simulated(data_dir, broker, sessions))
        serve(settings, port, data_dir, empty=empty)


@contextlib.contextmanager
def broker_of(data_dir: Path, sessions: sessionmaker[Session]) -> Iterator[RunningBroker]:
    """A broker on a free loopback port; killed, it is back within seconds with all that it had acknowledged."""
    keeper, over = Keeper(), threading.Event()

    def start(port: int = 0) -> RunningBroker:
        found = start_broker(data_dir / "broker", port=port, credentials=_known(sessions))
        keeper.start(found.keeper_url)
        return found

    first = start()
    last: RunningBroker | None = first

    def watch() -> None:
        nonlocal last
        try:
            last = kept_running(first, keeper, over, lambda: come_back(first.host, [first.port], lambda: start(first.port), over))
        except Refusal as error:
            log.error("broker_gone", error=str(error)[:200])

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield first
    finally:
        over.set()
        watching.join(STOP_S)
        keeper.stop()
        if last:
            last.stop()


def _leave(_signal: int, _frame: object) -> None:
    """Before the pages are served a signal ends at once; uvicorn has its own way once they are."""
    raise SystemExit(0)


def _hang_up(_signal: int, _frame: object) -> None:
    """A closed terminal means the same as a request to end."""
    os.kill(os.getpid(), signal.SIGTERM)


def _known(sessions: sessionmaker[Session]) -> list[tuple[str, str]]:
    with sessions() as session:
        return equipment_queries.logins(session, at=clock.now())


def settings_of(data_dir: Path, port: int, stand_in: str, broker: RunningBroker | None = None) -> Settings:
    """The demonstration's own settings; the environment's count only where these say nothing."""
    return Settings(
        database_url=f"sqlite:///{data_dir / 'pilotbench.db'}",
        data_dir=data_dir,
        base_url=f"http://127.0.0.1:{port}",
        mqtt_url=broker.url if broker else "",
        mqtt_dir=broker.folder if broker else None,
        stripe_key=SecretStr(STRIPE_KEY),
        stripe_api_base=stand_in,
        stripe_webhook_secrets=SecretStr(WEBHOOK_SECRET),
        test_payment_method=past.CARD,
    )


@contextlib.contextmanager
def stand_in_for_stripe(data_dir: Path, port: int) -> Iterator[str]:
    """The stand-in on a free loopback port; gives its address. No money moves."""
    hook = f"http://127.0.0.1:{port}/api/v1/stripe/events"
    app = fake.create_app(secret=WEBHOOK_SECRET, webhook_url=hook, kept=data_dir / "stripe-stand-in.json")
    found = loopback_port()
    config = uvicorn.Config(app, host="127.0.0.1", port=found, log_level="critical", access_log=False)
    with _in_background(uvicorn.Server(config)):
        yield f"http://127.0.0.1:{found}"


@contextlib.contextmanager
def _in_background(served: uvicorn.Server) -> Iterator[None]:
    thread = threading.Thread(target=served.run, daemon=True)
    thread.start()
    waiting = threading.Event()
    while thread.is_alive() and not served.started:
        waiting.wait(0.02)
    try:
        yield
    finally:
        served.should_exit = True
        thread.join(5)


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
    with sessions.begin() as session:
        person = running.first_operator(session)
        token = people.create_token(session, person_id=person.id, label="demo", now=clock.now())
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
    with sessions.begin() as session:
        people.create_person(
            session,
            email=story.OPERATOR_EMAIL,
            name="Operator",
            password=story.PASSWORD,
            grants=[Grant(Role.OPERATOR)],
            actor_id=None,
            now=clock.now(),
        )


def _build(sessions: sessionmaker[Session], stand_in: str, done: Path) -> None:
    """Everybody, everything and six weeks of use; about half a minute."""
    typer.echo("First start: building the demonstration. This is done once.")
    now = clock.now()
    born = now - timedelta(days=past.DAYS_BACK + 3)
    provider = running.provider_of(Settings(stripe_key=SecretStr(STRIPE_KEY), stripe_api_base=stand_in))
    if provider is None:
        raise RuntimeError(STRIPE_KEY)
    with sessions.begin() as session:
        cast = story.enter(session, now=born, today=midnight(today_of(now)))
    fleet = equipment.fleet_of(cast, born)
    past.play(Stage(sessions, provider, cast, now), fleet, lambda step: typer.echo(f"  {step}"))
    equipment.save(fleet, done)


def catch_up(data_dir: Path, sessions: sessionmaker[Session]) -> None:
    """Hand in what the machines measured since they were last heard, so that they are in use from the first page on."""
    fleet, now = equipment.load(data_dir / "fleet.json"), clock.now()
    with sessions() as session:
        heard = {row.key: row.last_message_at for row in equipment_queries.active_devices(session)}
    for machine in _present(sessions, fleet):
        since = max(heard.get(machine.key) or fleet.born, now - MISSED_AT_MOST) + machine.every
        if since < now:
            with sessions.begin() as session:
                intake.store(session, list(history(machine, Slot(since, now))))
    with sessions.begin() as session:
        devices.fold_devices(session, now=clock.now())


@contextlib.contextmanager
def simulated(data_dir: Path, broker: RunningBroker, sessions: sessionmaker[Session]) -> Iterator[None]:
    """The machines, live on the broker, doing what their bookings say."""
    fleet = equipment.load(data_dir / "fleet.json")
    simulator = Simulator(broker.host, broker.port, _present(sessions, fleet))
    simulator.start()
    over = threading.Event()
    keeper = threading.Thread(target=_keep, args=(simulator, sessions, fleet, over), daemon=True)
    keeper.start()
    try:
        yield
    finally:
        over.set()
        keeper.join(5)
        simulator.stop()


def _present(sessions: sessionmaker[Session], fleet: Fleet) -> list[Machine]:
    with sessions.begin() as session:
        past.occupy(session, fleet.live_resources, now=clock.now())
    with sessions() as session:
        return equipment.machines(session, fleet, until=clock.now() + timedelta(days=1))


def _keep(simulator: Simulator, sessions: sessionmaker[Session], fleet: Fleet, over: threading.Event) -> None:
    """New bookings reach the machines; and somebody is always at work somewhere."""
    while not over.wait(KEEP_EVERY_S):
        try:
            for machine in _present(sessions, fleet):
                simulator.change(machine)
        except (OperationalError, Refusal) as error:
            log.warning("demo_waits", error=str(error)[:200])


def serve(settings: Settings, port: int, data_dir: Path, *, empty: bool) -> None:
    """Pages and API until a signal says stop."""
    config = uvicorn.Config(
        create_app(settings), host="127.0.0.1", port=port, log_level="warning", timeout_graceful_shutdown=server.GRACE_S
    )
    served = uvicorn.Server(config)
    announcing = threading.Thread(target=_announce, args=(served, settings, data_dir), kwargs={"empty": empty}, daemon=True)
    announcing.start()
    with contextlib.suppress(SystemExit, KeyboardInterrupt):
        served.run()


def _announce(served: uvicorn.Server, settings: Settings, data_dir: Path, *, empty: bool) -> None:
    waiting = threading.Event()
    while not served.started and not waiting.wait(0.05):
        pass
    lines = [
        "",
        f"Pilotbench is ready: {settings.base_url}/zh/search (English: {settings.base_url}/en/search)",
        "",
        f"Accounts, all with the password {story.PASSWORD}:",
        *(f"  {role:<11} {email}" for role, email in (story.accounts() if not empty else [("operator", story.OPERATOR_EMAIL)])),
        "",
        "Card payments go to a stand-in for Stripe on this machine: no money moves.",
        f"Everything is kept in {data_dir}. Ctrl+C stops all of it; the next start takes seconds.",
    ]
    typer.echo("\n".join(lines))
