"""`pilotbench broker`: the private Mosquitto for production, kept running, with who may connect from the database."""

import threading
from collections.abc import Callable, Sequence
from time import monotonic

import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from devices import queries
from devices.broker import BrokerUnavailable, RunningBroker, Secured, end_leftover, read_revocations, start_broker
from devices.certificates import read_authority
from devices.ingest import keep_for_us
from devices.keeper import Keeper
from marketplace import clock
from marketplace.db import open_engine, open_sessions
from marketplace.settings import Settings
from web.server import PortTaken, check_port, stopped

log = structlog.get_logger()
LOOK_S = 0.5
PAUSE_S = 2.0
MOST_DEATHS = 5
"""One after the other without a minute in between: then something is wrong that another start does not mend."""
STEADY_S = 60.0
PORTS_S = 300.0


def run(settings: Settings, host: str) -> None:
    """Until a signal says stop; a broker that dies is started again with what it had saved, and so is one that must learn
    that a certificate no longer counts.

    Raises: PortTaken, BrokerUnavailable (also where settings are missing).
    """
    over = stopped()
    if settings.mqtt_dir:
        end_leftover(settings.mqtt_dir.resolve())  # of a run that was killed
    for port in ports_of(settings):
        check_port(host, port)
    sessions, keeper, ports = open_sessions(open_engine(settings.database_url)), Keeper(), ports_of(settings)

    def start() -> RunningBroker | None:
        return once_the_database_answers(settings, host, sessions, keeper, over)

    def knows(running: RunningBroker) -> bool:
        return not settings.mqtt_certificate_port or read_revocations(running.folder) == running.revocations

    running = kept_running(start(), keeper, over, lambda: come_back(host, ports, start, over), knows=knows)
    keeper.stop()
    if running:
        running.stop()


def kept_running(
    running: RunningBroker | None,
    keeper: Keeper,
    over: threading.Event,
    again: Callable[[], RunningBroker | None],
    *,
    knows: Callable[[RunningBroker], bool] = lambda _: True,
) -> RunningBroker | None:
    """Until `over`, `again` where it ended or must learn something; the one that runs then. Raises: BrokerUnavailable."""
    deaths, steady_s = 0, 0.0
    while running and not over.wait(LOOK_S):
        steady_s += LOOK_S
        if running.process.poll() is None and knows(running):
            keeper.look_after(running.keeper_url)
            continue
        if running.process.poll() is not None:
            deaths, steady_s = (1 if steady_s > STEADY_S else deaths + 1), 0.0
            if deaths > MOST_DEATHS:
                raise BrokerUnavailable(reason=f"Mosquitto ended {MOST_DEATHS} times; the end of its log is in {running.folder}")
            log.warning("broker_ended", code=running.process.returncode)
            over.wait(PAUSE_S)
        running.stop()
        keeper.hold(running.saved_at)
        running = again()
    return running


def come_back(
    host: str, ports: Sequence[int], start: Callable[[], RunningBroker | None], over: threading.Event
) -> RunningBroker | None:
    """After it has run. What else has a port for a moment, such as somebody's connection, is waited for.

    Raises: PortTaken, BrokerUnavailable.
    """
    end = monotonic() + PORTS_S
    while not over.is_set():
        try:
            for port in ports:
                check_port(host, port)
            return start()
        except (PortTaken, BrokerUnavailable) as error:
            if monotonic() > end:
                raise
            log.warning("broker_does_not_start", error=str(error)[:200])
            over.wait(PAUSE_S)
    return None


def ports_of(settings: Settings) -> list[int]:
    return [port for port in (settings.mqtt_port, settings.mqtt_tls_port, settings.mqtt_certificate_port) if port]


def once_the_database_answers(
    settings: Settings, host: str, sessions: sessionmaker[Session], keeper: Keeper, over: threading.Event
) -> RunningBroker | None:
    """None where it was to stop before that. Raises: BrokerUnavailable."""
    while not over.is_set():
        try:
            running = started(settings, host, sessions, keeper)
        except OperationalError as error:
            log.warning("broker_waits", error=str(error.orig)[:200])
            over.wait(PAUSE_S)
        else:
            tls, certificates = settings.mqtt_tls_port, settings.mqtt_certificate_port
            log.info("broker_runs", host=host, port=running.port, tls=tls, certificates=certificates)
            return running
    return None


def started(settings: Settings, host: str, sessions: sessionmaker[Session], keeper: Keeper) -> RunningBroker:
    """At once with its keeper, for what passes without it is not remembered. Raises: BrokerUnavailable."""
    _, password = settings.mqtt_account
    if settings.mqtt_dir is None or not password:
        raise BrokerUnavailable(reason="PILOTBENCH_MQTT_DIR, and PILOTBENCH_MQTT_URL with a password, must be set for this")
    with sessions() as session:
        known = queries.logins(session, at=clock.now())
        secured = secured_by(settings, session)
        unheard = queries.last_heartbeat(session) is None
    running = start_broker(
        settings.mqtt_dir,
        host=host,
        port=settings.mqtt_port,
        credentials=known,
        ingest_password=password,
        secured=secured,
    )
    keeper.start(running.keeper_url)
    if unheard and not keep_for_us(running.url):
        log.warning("ingest_not_known", meaning="what devices send before the first `pilotbench work` is not kept")
    return running


def secured_by(settings: Settings, session: Session) -> Secured | None:
    """With a fresh certificate of the broker's own, by our authority. None where it is not to speak TLS."""
    if not (settings.mqtt_tls_port or settings.mqtt_certificate_port):
        return None
    now = clock.now()
    authority = read_authority(settings.data_dir, now=now)
    own = authority.for_broker([settings.mqtt_host, "localhost", "127.0.0.1"], now=now)
    revoked = queries.revoked_certificates(session, now=now)
    return Secured(
        settings.mqtt_tls_port,
        settings.mqtt_certificate_port,
        authority.pem,
        own.certificate,
        own.key,
        authority.revocations(revoked, now=now),
    )
