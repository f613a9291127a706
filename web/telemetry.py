"""The loops that carry telemetry: from the broker into the database, births that are asked for, and who may connect."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from devices import actions as devices
from devices import broker, denials
from devices import queries as equipment
from devices.births import actions as births
from devices.certificates import Authority
from devices.ingest import Batch, Ingest
from devices.intake import actions as intake
from devices.takeover import put_out
from marketplace import clock

log = structlog.get_logger()
Sessions = sessionmaker[Session]
PAUSE_S = 1.0
"""How long a loop waits after the database did not answer."""
ASK_S = 2.0
LATELY = timedelta(hours=1)
"""Whoever was connected by a certificate that was revoked longer ago is gone."""


@dataclass(frozen=True, slots=True)
class Provisioned:
    """The broker that is told who may connect: its folder, and where devices with certificates reach it, if they do."""

    folder: Path
    authority: Authority | None = None
    host: str = broker.LOOPBACK
    certificate_port: int = 0


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
        except DBAPIError as error:
            if isinstance(error, DataError | IntegrityError):
                return _keep_apart(batch, sessions, stop, error)
            log.warning("ingest_waits", error=str(error)[:200])
            stop.wait(PAUSE_S)
        except Exception as error:
            return _keep_apart(batch, sessions, stop, error)
        else:
            return True
    return False


def _keep_apart(batch: Batch, sessions: Sessions, stop: threading.Event, error: Exception) -> bool:
    """Each half for itself, down to the message that cannot be stored."""
    if len(batch.envelopes) > 1:
        first, second = batch.halves()
        return keep(first, sessions, stop) and keep(second, sessions, stop)
    log.error("message_not_stored", topic=batch.envelopes[0].topic if batch.envelopes else None, exc_info=error)
    return keep(batch.as_rejected(), sessions, stop)


def take_back(provisioned: Provisioned, authority: Authority, revoked: Sequence[tuple[str, datetime, str]]) -> None:
    """Certificates that no longer count are listed, and whoever was connected by one is put out."""
    now = clock.now()
    broker.write_revocations(
        provisioned.folder, authority.revocations([(serial, since) for serial, since, _ in revoked], now=now)
    )
    if broker.reload_broker(provisioned.folder) and provisioned.certificate_port:
        for key in {key for _, since, key in revoked if now - since < LATELY}:
            put_out(provisioned.host, provisioned.certificate_port, authority, key, now=now)


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
    folder, known, listed = provisioned.folder, None, None
    while not stop.is_set():
        with sessions() as session:
            present = [(row.key, row.secret_hash) for row in equipment.active_devices(session)]
            revoked = equipment.revoked_certificates(session, now=clock.now()) if provisioned.authority else []
        if present != known:
            broker.provision(folder, present)
            known = present
        if provisioned.authority and revoked != listed:
            take_back(provisioned, provisioned.authority, revoked)
            listed = revoked
        with denials.unread(folder) as refused, sessions() as session:
            devices.store_denials(session, refused)
            session.commit()
        stop.wait(PAUSE_S)
