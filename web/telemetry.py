"""The loops that carry telemetry: from the broker into the database, births that are asked for, and who may connect."""

import threading
from dataclasses import dataclass
from pathlib import Path

import structlog
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session, sessionmaker

from devices import actions as devices
from devices import broker, denials
from devices import queries as equipment
from devices.births import actions as births
from devices.certificates import Authority, listed
from devices.ingest import Batch, Ingest
from devices.intake import actions as intake
from marketplace import clock

log = structlog.get_logger()
Sessions = sessionmaker[Session]
PAUSE_S = 1.0
"""How long a loop waits after the database did not answer."""
ASK_S = 2.0


@dataclass(frozen=True, slots=True)
class Provisioned:
    """The broker that is told who may connect: its folder, and who issues certificates, if devices may connect by them."""

    folder: Path
    authority: Authority | None = None


def ingest_loop(ingest: Ingest, sessions: Sessions, stop: threading.Event) -> None:
    """take | transaction: store | ack. Nothing is acknowledged before it is committed."""
    while not stop.is_set():
        batch = ingest.take()
        if batch and keep(batch, sessions, stop):
            ingest.ack(batch)


def keep(batch: Batch, sessions: Sessions, stop: threading.Event) -> bool:
    """Store what is in it, however long the database is away; what no database takes, as rejected, so that it stops nobody.

    False where `stop` came first.
    """
    while not stop.is_set():
        try:
            with sessions() as session:
                intake.store_batch(session, batch, now=clock.now())
                session.commit()
        except Exception as error:
            if batch.envelopes and not _is_away(error):
                return _keep_apart(batch, sessions, stop, error)
            log.warning("ingest_waits", error=str(error)[:200])
            stop.wait(PAUSE_S)
        else:
            return True
    return False


def _is_away(error: Exception) -> bool:
    """Whether the database, and not what it was to store, is the reason."""
    lost = isinstance(error, DBAPIError) and not isinstance(error, DataError | IntegrityError)
    return lost or isinstance(error, PoolTimeoutError | MemoryError)


def _keep_apart(batch: Batch, sessions: Sessions, stop: threading.Event, error: Exception) -> bool:
    """Each half for itself, down to the message that cannot be stored."""
    if len(batch.envelopes) > 1:
        first, second = batch.halves()
        return keep(first, sessions, stop) and keep(second, sessions, stop)
    log.error("message_not_stored", topic=batch.envelopes[0].topic, exc_info=error)
    return keep(batch.as_rejected(), sessions, stop)


def birth_loop(ingest: Ingest, sessions: Sessions, stop: threading.Event) -> None:
    """Ask nodes for births: first it is on record that they were asked."""
    while not stop.wait(ASK_S):
        with sessions() as session:
            commands = births.take_wanted(session, now=clock.now())
            session.commit()
        for command in commands:
            ingest.tell(command)


def broker_loop(provisioned: Provisioned, sessions: Sessions, stop: threading.Event) -> None:
    """Keep the broker's files equal to who may connect, and count whom and what it turned away."""
    folder, authority, known = provisioned.folder, provisioned.authority, None
    while not stop.is_set():
        if not folder.is_dir():
            log.warning("broker_folder_missing", folder=str(folder), remedy="start pilotbench broker, as the same user")
            stop.wait(PAUSE_S * 5)
            continue
        with sessions() as session:
            present = [(row.key, row.secret_hash) for row in equipment.active_devices(session)]
            revoked = equipment.revoked_certificates(session, now=clock.now()) if authority else []
        if present != known:
            broker.provision(folder, present)
            known = present
        if authority and {serial for serial, _ in revoked} != listed(broker.read_revocations(folder)):
            broker.write_revocations(folder, authority.revocations(revoked, now=clock.now()))
        with denials.unread(folder) as refused, sessions() as session:
            devices.store_denials(session, refused)
            session.commit()
        stop.wait(PAUSE_S)
