"""What the worker does in transactions of its own: jobs by their slots, so that any number of workers may run, and the loops."""

import smtplib
import threading
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic

import structlog
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session, sessionmaker

from billing import outbox as payments
from billing import webhooks
from billing.providers.base import Provider, Trouble
from billing.reconciling import actions as reconciling
from billing.reconciling import queries as reconciled
from billing.reconciling.tables import Answered
from booking.external import actions as external
from booking.external.fetching import NotFetched, fetch
from devices import broker, denials
from devices import queries as equipment
from devices.archive.moving import Archiving
from devices.births import actions as births
from devices.certificates import Authority, listed
from devices.ingest import Batch, Ingest, wait_s
from devices.intake import actions as intake
from devices.pace import Pace
from marketplace import clock, jobs, outbox
from marketplace.db import open_snapshots
from marketplace.refusals import NotFound, Refusal
from web import mail
from web.checks import Checking, results
from web.present import letters
from web.timers import JOBS, Job

log = structlog.get_logger()
Sessions = sessionmaker[Session]
SWEEP_EVERY = timedelta(minutes=10)
SWEEP_BACK = timedelta(hours=24)
PAUSE_S = 1.0
"""How long a loop waits after the database or the provider did not answer."""
SILENT_S = 15.0
"""Three signs of whoever has the connection to the broker were missed: another worker takes it."""
ASK_S = 2.0
ARCHIVE_S = 600.0
BREATH_S = 0.02
"""A thousand devices' day takes two thousand transactions of about as long."""
REST = timedelta(milliseconds=1)
"""For each device, between two changes of the broker's files: told of one, it checks everybody who is connected, and with 4,000
of them messages waited for up to two seconds. Who registers ten thousand one by one must not keep it from its work."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """How often a calendar that others keep is read, and whether its address may be on this machine or its network."""

    every: timedelta = timedelta(minutes=15)
    private: bool = False


NOTHING_PRIVATE = Elsewhere()


@dataclass(frozen=True, slots=True)
class Provisioned:
    """The broker that is told who may connect: its folder, and who issues certificates, if devices may connect by them."""

    folder: Path
    authority: Authority | None = None


def run_job(sessions: Sessions, job: Job, due_at: datetime, now: datetime) -> bool:
    """Run `job` for its due slot if no other process did, claim and work in one transaction; whether it was ours."""
    with sessions() as session:
        if not jobs.claim(session, job=job.name, due_at=due_at, now=now):
            return False
        job.run(session, now)
        jobs.finish(session, job=job.name, due_at=due_at, now=now)
        session.commit()
        return True


def tick(sessions: Sessions, job: Job) -> None:
    """One tick. What goes wrong is logged; the next tick tries again."""
    now = clock.now()
    try:
        if run_job(sessions, job, jobs.due_slot(now, job.every), now) and job.goes_on:
            go_on(sessions, job)
    except (OperationalError, Refusal) as error:
        log.warning("job_failed", job=job.name, error=str(error)[:300])
    except Exception:
        log.exception("job_broke", job=job.name)


def go_on(sessions: Sessions, job: Job) -> None:
    until = monotonic() + job.every.total_seconds() / 2
    more: object = True
    while more and monotonic() < until:
        with sessions() as session:
            more = job.run(session, clock.now())
            session.commit()


def catch_up(sessions: Sessions) -> None:
    """Run slots that passed while nobody was working; one of each is enough, every job looks at all that is open."""
    now = clock.now()
    for job in JOBS:
        with sessions() as session:
            missed = jobs.missed(session, job=job.name, every=job.every, now=now)
        if missed:
            log.info("catching_up", job=job.name, missed=len(missed))
            run_job(sessions, job, missed[-1], now)


def ingest_loop(ingest: Ingest, sessions: Sessions, stop: threading.Event) -> None:
    """take | transaction: store | ack. Nothing is acknowledged before it is committed. Of several workers one listens."""
    pace = Pace()
    while not stop.is_set():
        batch = ingest.take()
        if batch and keep(batch, sessions, stop, pace):
            ingest.ack(batch)
        elif ingest.broken:
            come_back(ingest, sessions, stop)


def come_back(ingest: Ingest, sessions: Sessions, stop: threading.Event) -> None:
    """Connect again; where another worker took the connection over, once that one gives no sign any more, and where the broker
    does not let us in, after a while that grows.

    By our own clock alone: that of another machine may be wrong.
    """
    seen, since, due = ingest.signed_at, monotonic() - SILENT_S, monotonic() + wait_s(ingest.refusals)
    if ingest.refusals:
        with sessions() as session:
            intake.store_refusal(session, now=clock.now())
            session.commit()
    while not stop.wait(PAUSE_S):
        with sessions() as session:
            sign = equipment.last_heartbeat(session, equipment.LISTENER)
        if sign != seen:
            seen, since = sign, monotonic()
        elif monotonic() - since >= SILENT_S and monotonic() >= due:
            ingest.start()
            return


def keep(batch: Batch, sessions: Sessions, stop: threading.Event, pace: Pace) -> bool:
    """Store what is in it, however long the database is away; what no database takes, as rejected, so that it stops nobody.

    False where `stop` came first.
    """
    while not stop.is_set():
        try:
            with sessions() as session:
                intake.store_batch(session, batch, now=clock.now(), pace=pace)
                session.commit()
            pace.settle()
        except Exception as error:
            if batch.envelopes and not _is_away(error):
                return _keep_apart(batch, sessions, stop, pace, error)
            log.warning("ingest_waits", error=str(error)[:200])
            stop.wait(PAUSE_S)
        else:
            return True
    return False


def _is_away(error: Exception) -> bool:
    """Whether the database, and not what it was to store, is the reason."""
    lost = isinstance(error, DBAPIError) and not isinstance(error, DataError | IntegrityError)
    return lost or isinstance(error, PoolTimeoutError | MemoryError)


def _keep_apart(batch: Batch, sessions: Sessions, stop: threading.Event, pace: Pace, error: Exception) -> bool:
    """Each half for itself, down to the message that cannot be stored."""
    if len(batch.envelopes) > 1:
        first, second = batch.halves()
        return keep(first, sessions, stop, pace) and keep(second, sessions, stop, pace)
    log.error("message_not_stored", topic=batch.envelopes[0].topic, exc_info=error)
    return keep(batch.as_rejected(), sessions, stop, pace)


def birth_loop(ingest: Ingest, sessions: Sessions, stop: threading.Event) -> None:
    """Ask nodes for births: first it is on record that they were asked."""
    while not stop.wait(ASK_S):
        if not ingest.connected:
            continue
        with sessions() as session:
            commands = births.take_wanted(session, now=clock.now())
            session.commit()
        for command in commands:
            ingest.tell(command)


def broker_loop(provisioned: Provisioned, sessions: Sessions, stop: threading.Event) -> None:
    """Keep the broker's files equal to who may connect, and count whom and what it turned away."""
    folder, authority, rested_at = provisioned.folder, provisioned.authority, clock.now()
    known: tuple[int, int] | None = None
    while not stop.is_set():
        if not folder.is_dir():
            log.warning("broker_folder_missing", folder=str(folder), remedy="start pilotbench broker, as the same user")
            stop.wait(PAUSE_S * 5)
            continue
        with sessions() as session:
            now = clock.now()
            version = equipment.logins_version(session, at=now) if now >= rested_at else known
            present = equipment.logins(session, at=now) if version != known else []
            revoked = equipment.revoked_certificates(session, now=now) if authority else []
        if version != known:
            rest = REST * len(present) if broker.provision(folder, present) else timedelta(0)
            known, rested_at = version, clock.now() + rest
        if authority and {serial for serial, _ in revoked} != listed(broker.read_revocations(folder)):
            broker.write_revocations(folder, authority.revocations(revoked, now=clock.now()))
        with denials.unread(folder) as refused, sessions() as session:
            intake.store_denials(session, refused)
            session.commit()
        stop.wait(PAUSE_S)


def payment_loop(provider: Provider, sessions: Sessions, stop: threading.Event) -> None:
    """claim | call | record, each in its own transaction: no network call inside one."""
    while not stop.is_set():
        if not pay_once(provider, sessions):
            stop.wait(PAUSE_S)


def pay_once(provider: Provider, sessions: Sessions) -> bool:
    """One call to the provider, if one is due; whether there was."""
    with sessions() as session:
        asked = payments.claim(session, now=clock.now())
        session.commit()
    if asked is None:
        return False
    outcome = payments.call(asked, provider)
    with sessions() as session:
        payments.record(session, outcome, now=clock.now())
        session.commit()
    return True


def check_loop(checking: Checking, sessions: Sessions, stop: threading.Event) -> None:
    """Run every check when a night or a person asks for it."""
    while not stop.wait(PAUSE_S * 5):
        check_once(checking, sessions)


def check_once(checking: Checking, sessions: Sessions) -> bool:
    """claim | read the provider's books | store | check | record one run; whether one was asked for."""
    snapshots, now = open_snapshots(sessions.kw["bind"]), clock.now()
    with snapshots() as session:
        if reconciled.waiting_run(session) is None:
            return False
        since = reconciled.read_from(session)
    with sessions() as session:
        run_id = reconciling.claim_run(session, now=now)
        session.commit()
    if run_id is None:
        return False
    answered, books = reconciling.ask_provider(checking.provider, since=since, now=now)
    with sessions() as session:
        reconciling.store(session, books, now=now)
        session.commit()
    with snapshots() as session:
        found = reconciling.compare(session, books, now=now) if answered is Answered.ANSWERED else None
    with sessions() as session:
        if found is not None:
            reconciling.note(session, found, now=now)
        session.commit()
    with snapshots() as session:
        broken = results(session, checking.archive, since=now)
    with sessions() as session:
        reconciling.finish_run(session, run_id=run_id, provider=answered, results=broken, now=clock.now())
        session.commit()
    return True


def event_loop(provider: Provider, sessions: Sessions, stop: threading.Event) -> None:
    """Apply what the provider told us, and ask it now and then for what we may have missed."""
    swept = clock.now() - SWEEP_EVERY
    while not stop.is_set():
        try:
            now = clock.now()
            if now - swept >= SWEEP_EVERY:
                sweep(provider, sessions, since=now - SWEEP_BACK)
                swept = now
            if not apply_event(provider, sessions):
                stop.wait(PAUSE_S)
        except (OperationalError, Trouble) as error:
            log.warning("events_wait", error=str(error)[:200])
            stop.wait(PAUSE_S * 5)


def sweep(provider: Provider, sessions: Sessions, *, since: datetime) -> None:
    """Take in events that no webhook brought."""
    notices = provider.events_since(since)
    with sessions() as session:
        for notice in notices:
            webhooks.accept(session, notice, now=clock.now())
        session.commit()


def apply_event(provider: Provider, sessions: Sessions) -> bool:
    """claim | read | record one event of the inbox; whether there was one."""
    with sessions() as session:
        claimed = webhooks.claim(session, now=clock.now())
        session.commit()
    if claimed is None:
        return False
    seen = webhooks.read(claimed, provider)
    with sessions() as session:
        webhooks.record(session, seen, now=clock.now())
        session.commit()
    return True


def mail_loop(post: mail.Post, sessions: Sessions, stop: threading.Event) -> None:
    """Send what is due; a message is leased, sent and marked in three steps, so a crash repeats at most one."""
    while not stop.is_set():
        if not mail_once(post, sessions):
            stop.wait(PAUSE_S * 3)


def mail_once(post: mail.Post, sessions: Sessions) -> bool:
    """Send one batch; whether there was one. A letter that cannot be written or sent does not keep the others back.

    Where a slow server eats the lease, the rest is left to whoever claims it next: nothing is sent without a lease.
    """
    leased_until = clock.now() + outbox.LEASE
    with sessions() as session:
        due = [message.id for message in outbox.claim_due(session, now=clock.now())]
        session.commit()
    for message_id in due:
        if clock.now() > leased_until - mail.SENDING:
            break
        done = outbox.mark_sent if send(post, sessions, message_id) else outbox.mark_failed
        with sessions() as session:
            done(session, message_id=message_id, now=clock.now())
            session.commit()
    return bool(due)


def send(post: mail.Post, sessions: Sessions, message_id: str) -> bool:
    """Write a letter, then post it outside of any transaction; whether the server took it."""
    now = clock.now()
    try:
        with sessions() as session:
            message = outbox.get_message(session, message_id)
            letter = letters.letter(session, message, base_url=post.base_url, organiser=post.address, now=now)
        post.send(letter, now=now)
    except (smtplib.SMTPException, OSError, ValueError, Refusal) as error:
        log.warning("mail_failed", message=message_id, error=str(error)[:200])
        return False
    return True


def calendar_loop(elsewhere: Elsewhere, sessions: Sessions, stop: threading.Event) -> None:
    """Read the calendars that others keep, one after another."""
    while not stop.is_set():
        if not read_calendar(elsewhere, sessions):
            stop.wait(PAUSE_S * 5)


def read_calendar(elsewhere: Elsewhere, sessions: Sessions) -> bool:
    """claim | fetch and read | record one calendar; whether one was due. No network call inside a transaction."""
    with sessions() as session:
        due = external.claim_due(session, now=clock.now())
        session.commit()
    if due is None:
        return False
    try:
        fetched = fetch(due.url, due.seen, private=elsewhere.private) if due.url else None
        outcome = external.understand(due, fetched, now=clock.now())
    except NotFetched as error:
        outcome = external.failed(error)
    with sessions() as session, suppress(NotFound):  # it was disconnected meanwhile
        external.record(session, calendar_id=due.calendar_id, outcome=outcome, every=elsewhere.every, now=clock.now())
        session.commit()
    return True


def archive_loop(archiving: Archiving, sessions: Sessions, stop: threading.Event) -> None:
    """Move old messages into the archive, a short transaction at a time; between two of them others have their turn."""
    while not stop.wait(ARCHIVE_S):
        with closing(archiving.steps()) as steps, suppress(StopIteration):
            step = next(steps)
            while not stop.wait(BREATH_S):
                with sessions() as session:
                    done = step(session, now=clock.now())
                    session.commit()
                step = steps.send(done)
