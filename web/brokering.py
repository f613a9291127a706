"""`pilotbench broker`: the private Mosquitto for production, kept running, with who may connect from the database."""

import signal
import threading
from types import FrameType
from urllib.parse import unquote, urlsplit

import structlog
from sqlalchemy.orm import Session, sessionmaker

from devices import queries
from devices.broker import BrokerUnavailable, RunningBroker, Secured, start_broker
from devices.certificates import read_authority
from devices.ingest import keep_for_us
from marketplace import clock
from marketplace.db import open_engine, open_sessions
from marketplace.settings import Settings
from web.server import check_port

log = structlog.get_logger()
LOOK_S = 0.5
PAUSE_S = 2.0
MOST_STARTS = 5
"""One after the other without a minute in between: then something is wrong that another start does not mend."""
STEADY_S = 60.0


def run(settings: Settings, host: str) -> None:
    """Until a signal says stop; a broker that dies is started again with what it had saved.

    Raises: PortTaken, BrokerUnavailable (also where settings are missing).
    """
    over = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        over.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    ports = (settings.mqtt_port, settings.mqtt_tls_port, settings.mqtt_certificate_port)
    for port in filter(None, ports):
        check_port(host, port)
    sessions = open_sessions(open_engine(settings.database_url))
    running = started(settings, host, sessions)
    log.info("broker_runs", host=host, port=running.port, tls=settings.mqtt_tls_port, certificates=settings.mqtt_certificate_port)
    starts, steady_s = 1, 0.0
    while not over.wait(LOOK_S):
        steady_s += LOOK_S
        if running.process.poll() is None:
            continue
        starts, steady_s = (1 if steady_s > STEADY_S else starts + 1), 0.0
        if starts > MOST_STARTS:
            raise BrokerUnavailable(reason=f"Mosquitto ended {MOST_STARTS} times; the end of its log is in {running.folder}")
        log.warning("broker_ended", code=running.process.returncode)
        running.stop()
        over.wait(PAUSE_S)
        running = started(settings, host, sessions)
    running.stop()


def started(settings: Settings, host: str, sessions: sessionmaker[Session]) -> RunningBroker:
    """Raises: BrokerUnavailable."""
    password = unquote(urlsplit(settings.mqtt_url).password or "")
    if settings.mqtt_dir is None or not password:
        raise BrokerUnavailable(reason="PILOTBENCH_MQTT_DIR, and PILOTBENCH_MQTT_URL with a password, must be set for this")
    with sessions() as session:
        known = [(row.key, row.secret_hash) for row in queries.active_devices(session)]
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
    revoked = [(serial, since) for serial, since, _ in queries.revoked_certificates(session, now=now)]
    return Secured(
        settings.mqtt_tls_port,
        settings.mqtt_certificate_port,
        authority.pem,
        own.certificate,
        own.key,
        authority.revocations(revoked, now=now),
    )
