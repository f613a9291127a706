"""Puts a worker together from the settings, and audits what is stored."""

import threading
from datetime import datetime, timedelta
from itertools import chain

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from billing import invariants
from billing.providers.base import Provider
from billing.providers.stripe_connect import StripeConnect
from booking import invariants as ledger
from booking.external import invariants as elsewhere
from booking.operators.queries import unattended
from booking.waiting import invariants as waiting
from devices.archive import invariants as archived
from devices.archive.files import Archive, archive_in
from devices.archive.moving import Archiving
from devices.certificates import read_authority
from devices.evidence import invariants as evidence
from devices.evidence.keys import read_signer
from devices.ingest import Ingest
from marketplace import clock
from marketplace.db import open_engine, open_sessions
from marketplace.refusals import NotFound
from marketplace.roles import Role
from marketplace.settings import Settings
from marketplace.tables import Membership, Person
from web.mail import Post
from web.server import stopped
from web.worker import Elsewhere, Provisioned, Worker

log = structlog.get_logger()
EVIDENCE_KEY = "evidence.key"
"""The file in data_dir."""


def worker_of(settings: Settings, sessions: sessionmaker[Session], *, stop: threading.Event | None = None) -> Worker:
    """The worker that the settings ask for: without a broker no ingest, without a key no card payments."""
    ingest = Ingest(settings.mqtt_url) if settings.mqtt_url else None
    return Worker(
        sessions,
        ingest=ingest,
        provider=provider_of(settings),
        post=Post(settings),
        provisioned=provisioned_by(settings),
        elsewhere=Elsewhere(timedelta(minutes=settings.calendar_minutes), settings.private_calendars),
        signer=read_signer(settings.evidence_key.get_secret_value(), settings.data_dir / EVIDENCE_KEY),
        archiving=Archiving(archive_in(settings.data_dir), timedelta(days=settings.raw_days)),
        stop=stop,
    )


def provisioned_by(settings: Settings) -> Provisioned | None:
    if settings.mqtt_dir is None:
        return None
    port = settings.mqtt_certificate_port
    authority = read_authority(settings.data_dir, now=clock.now()) if port else None
    return Provisioned(settings.mqtt_dir, authority)


def provider_of(settings: Settings) -> Provider | None:
    key = settings.stripe_key.get_secret_value()
    return StripeConnect(key, settings.stripe_api_base) if key else None


def work(settings: Settings) -> None:
    """Run timers, ingest and payments until a signal says stop."""
    over = stopped()
    worker = worker_of(settings, open_sessions(open_engine(settings.database_url)), stop=over)
    worker.start()
    log.info("working")
    over.wait()
    worker.stop()


def audit(session: Session, *, since: datetime | None = None, archive: Archive | None = None) -> list[str]:
    """What is broken, a sentence each; empty where every invariant holds. `since` is told by booking.invariants, without an
    `archive` only the database is looked at."""
    rooms = (elsewhere.violations, waiting.violations, unattended, invariants.violations, evidence.violations)
    files = archived.violations(session, archive) if archive else ()
    return [*ledger.violations(session, since=since), *chain.from_iterable(room(session) for room in rooms), *files]


def first_operator(session: Session) -> Person:
    """Whoever has run the platform longest. Raises: NotFound."""
    asked = select(Person).join(Membership).where(Membership.role == Role.OPERATOR).order_by(Membership.created_at, Person.id)
    found = session.scalars(asked).first()
    if found is None:
        raise NotFound(kind="operator")
    return found
