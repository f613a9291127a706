"""The worker: its loops and timers in threads, put together from the settings. And the audit of what is stored."""

import gc
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import chain

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from billing import invariants
from billing.providers.base import Provider
from billing.providers.stripe_connect import StripeConnect
from devices.archive.files import Archive, archive_in
from devices.archive.moving import Archiving
from devices.certificates import read_authority
from devices.evidence.keys import Signer, read_signer
from devices.ingest import Ingest
from marketplace import clock
from marketplace.db import open_engine, open_sessions
from marketplace.refusals import NotFound
from marketplace.roles import Role
from marketplace.settings import Settings
from marketplace.tables import Membership, Person
from web import checks
from web import worker as loops
from web.checks import Checking
from web.mail import Post
from web.server import stopped
from web.timers import JOBS, forgetting, sealing
from web.worker import NOTHING_PRIVATE, Elsewhere, Provisioned

log = structlog.get_logger()
BACK = "/{language}/bookings/{booking}/payment/back"
"""The page of ours where a payer comes back to from the provider."""
EVIDENCE_KEY = "evidence.key"
"""The file in data_dir."""


def keep_up(loop: Callable[[], None], stop: threading.Event) -> None:
    """Run `loop` until `stop`; what breaks it (a database away for a minute) is told, and it begins again."""
    while not stop.is_set():
        try:
            loop()
        except OperationalError as error:
            log.warning("loop_waits", error=str(error.orig)[:200])
            stop.wait(loops.PAUSE_S * 5)
        except Exception as error:
            log.error("loop_begins_again", exc_info=error)
            stop.wait(loops.PAUSE_S * 5)


class Worker:
    """Everything that runs beside the web processes. `start` returns at once; `stop` waits for what is under way."""

    def __init__(
        self,
        sessions: sessionmaker[Session],
        *,
        ingest: Ingest | None,
        provider: Provider | None,
        post: Post,
        provisioned: Provisioned | None,
        elsewhere: Elsewhere = NOTHING_PRIVATE,
        signer: Signer | None = None,
        archiving: Archiving | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        """`stop` may be set from outside, as by a signal: what waits gives up then; `stop()` is still to be called."""
        self._sessions, self._ingest, self._stop = sessions, ingest, stop or threading.Event()
        self._jobs = [*JOBS, *([sealing(signer)] if signer else ()), *([forgetting(archiving.keep)] if archiving else ())]
        self._scheduler = BackgroundScheduler(timezone="UTC")
        asked: list[Callable[[], None]] = [
            lambda: loops.mail_loop(post, sessions, self._stop),
            lambda: loops.calendar_loop(elsewhere, sessions, self._stop),
        ]
        if ingest:
            asked.append(lambda: loops.ingest_loop(ingest, sessions, self._stop))
            asked.append(lambda: loops.birth_loop(ingest, sessions, self._stop))
        if provider:
            asked.append(lambda: loops.payment_loop(provider, sessions, self._stop))
            asked.append(lambda: loops.event_loop(provider, sessions, self._stop))
        if archiving:
            asked.append(lambda: loops.archive_loop(archiving, sessions, self._stop))
        archive = archiving.archive if archiving else None
        asked.append(lambda: loops.check_loop(Checking(provider, archive), sessions, self._stop))
        if provisioned:
            asked.append(lambda: loops.broker_loop(provisioned, sessions, self._stop))
        self._threads = [threading.Thread(target=keep_up, args=(loop, self._stop), daemon=True) for loop in asked]

    def start(self) -> None:
        """Once the database answers."""
        while not self._stop.is_set() and not self._caught_up():
            self._stop.wait(loops.PAUSE_S * 5)
        if self._stop.is_set():
            return
        for job in self._jobs:
            self._scheduler.add_job(
                loops.tick,
                "interval",
                (self._sessions, job),
                seconds=job.every.total_seconds(),
                coalesce=True,
                max_instances=1,
                misfire_grace_time=None,
            )
        self._scheduler.start()
        if self._ingest:
            self._ingest.start()
        for thread in self._threads:
            thread.start()

    def _caught_up(self) -> bool:
        try:
            loops.catch_up(self._sessions)
        except OperationalError as error:
            log.warning("worker_waits", error=str(error.orig)[:200])
            return False
        return True

    def stop(self) -> None:
        self._stop.set()
        if self._scheduler.running:
            self._scheduler.shutdown(wait=True)
        for thread in self._threads:
            if thread.is_alive():
                thread.join(20)
        if self._ingest:
            self._ingest.stop()


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
    back = f"{settings.base_url}{BACK}"
    return StripeConnect(key, settings.stripe_api_base, back=back) if key else None


def work(settings: Settings) -> None:
    """Run timers, ingest and payments until a signal says stop."""
    over = stopped()
    worker = worker_of(settings, open_sessions(open_engine(settings.database_url)), stop=over)
    gc.collect()
    gc.freeze()  # what is loaded by now stays: swept again and again it took a fifth of a long fold
    worker.start()
    log.info("working")
    over.wait()
    worker.stop()


def audit(session: Session, *, since: datetime | None = None, archive: Archive | None = None) -> list[str]:
    """What is broken, a sentence each; empty where every invariant holds. `since` is told by booking.invariants, without an
    `archive` only the database is looked at."""
    found = checks.rooms(session, archive, since)
    return [*chain.from_iterable(found.values()), *invariants.violations(session)]


def first_operator(session: Session) -> Person:
    """Whoever has run the platform longest. Raises: NotFound."""
    asked = select(Person).join(Membership).where(Membership.role == Role.OPERATOR).order_by(Membership.created_at, Person.id)
    found = session.scalars(asked).first()
    if found is None:
        raise NotFound(kind="operator")
    return found
