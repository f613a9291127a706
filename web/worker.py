"""The timers: each tick claims its due slot, so any number of workers may run. And the two dances of several transactions."""

import smtplib
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from billing import actions as billing
from billing import outbox as payments
from billing import queries as bills
from billing import webhooks
from billing.payments import actions as captures
from billing.providers.base import Provider, Trouble
from billing.reminders import actions as statements_due
from billing.resale import actions as resale
from booking import actions as booking
from booking import queries as bookings
from booking.external import actions as external
from booking.external.fetching import NotFetched, fetch
from booking.places import lock_places_of
from booking.reminders import actions as bookings_ahead
from booking.swaps import actions as swaps
from booking.waiting import actions as waiting
from devices import actions as devices
from devices import queries as equipment
from devices.evidence import actions as evidence
from devices.evidence.keys import Signer
from devices.flags import actions as flags
from devices.ingest import Ingest
from evaluation import actions as evaluation
from marketplace import clock, idempotency, jobs, outbox
from marketplace.inbox import actions as inbox
from marketplace.people import limits
from marketplace.refusals import NotFound, Refusal, WrongState
from web import checkout, mail, telemetry
from web.present import letters

log = structlog.get_logger()
Sessions = sessionmaker[Session]
SWEEP_EVERY = timedelta(minutes=10)
SWEEP_BACK = timedelta(hours=24)
PAUSE_S = 1.0
"""How long a loop waits after the database or the provider did not answer."""


@dataclass(frozen=True, slots=True)
class Job:
    """Something that is due every `every`; `run` is idempotent and bounded."""

    name: str
    every: timedelta
    run: Callable[[Session, datetime], object]


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """How often a calendar that others keep is read, and whether its address may be on this machine or its network."""

    every: timedelta = timedelta(minutes=15)
    private: bool = False


NOTHING_PRIVATE = Elsewhere()


def conclude_bookings(session: Session, now: datetime) -> None:
    """Carry the devices' verdicts into the bookings."""
    verdicts = equipment.verdicts_to_conclude(session)
    lock_places_of(session, [booking_id for booking_id, _ in verdicts])
    for booking_id, outcome in verdicts:
        booking.conclude(session, booking_id=booking_id, outcome=outcome, now=now)


def expire_holds(session: Session, now: datetime) -> None:
    """End holds that were not paid and requests that nobody answered in time; confirm the holds that were paid."""
    secured = bills.holds_secured(session)
    over = [*bookings.expired_holds(session, now=now), *bookings.undecided_requests(session, now=now)]
    lock_places_of(session, [*secured, *over])
    for booking_id in secured:
        booking.confirm_hold(session, booking_id=booking_id, now=now)
    for booking_id in over:
        with suppress(WrongState):  # it was paid or answered since
            checkout.expire(session, booking_id=booking_id, now=now)


def purge(session: Session, now: datetime) -> None:
    """Forget what has served its time."""
    jobs.purge(session, now=now)
    idempotency.purge(session, now=now)
    limits.purge(session, now=now)
    outbox.purge(session, now=now)


def _at(action: Callable[..., object]) -> Callable[[Session, datetime], object]:
    return lambda session, now: action(session, now=now)


JOBS: Sequence[Job] = (
    Job("fold", timedelta(seconds=3), _at(devices.fold_devices)),
    Job("flags", timedelta(seconds=10), _at(flags.look_at_days)),
    Job("confirm_uses", timedelta(seconds=5), _at(devices.confirm_uses)),
    Job("conclude", timedelta(seconds=5), conclude_bookings),
    Job("holds", timedelta(seconds=3), expire_holds),
    Job("lapse_offers", timedelta(seconds=3), _at(waiting.lapse)),
    Job("look_at_lines", timedelta(seconds=10), _at(waiting.look)),
    Job("guard_holds", timedelta(minutes=10), _at(captures.guard_holds)),
    Job("draft_statements", timedelta(seconds=5), _at(billing.draft_statements)),
    Job("accept_silent", timedelta(minutes=1), _at(billing.accept_silent)),
    Job("credit_resold_fees", timedelta(minutes=1), _at(resale.decide_due)),
    Job("remind_of_bookings", timedelta(minutes=1), _at(bookings_ahead.remind)),
    Job("remind_of_statements", timedelta(minutes=1), _at(statements_due.remind)),
    Job("expire_swaps", timedelta(minutes=1), _at(swaps.expire_overdue)),
    Job("digests", timedelta(minutes=1), _at(inbox.make_digests)),
    Job("publish", timedelta(hours=1), _at(evaluation.publish_due)),
    Job("purge", timedelta(hours=6), purge),
)


def sealing(signer: Signer) -> Job:
    """Once a day there is something to do; after a stop it catches up in small steps."""
    return Job("seal_evidence", timedelta(minutes=1), lambda session, now: evidence.seal_due(session, signer=signer, now=now))


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
        run_job(sessions, job, jobs.due_slot(now, job.every), now)
    except (OperationalError, Refusal) as error:
        log.warning("job_failed", job=job.name, error=str(error)[:300])
    except Exception:
        log.exception("job_broke", job=job.name)


def catch_up(sessions: Sessions) -> None:
    """Run slots that passed while nobody was working; one of each is enough, every job looks at all that is open."""
    now = clock.now()
    for job in JOBS:
        with sessions() as session:
            missed = jobs.missed(session, job=job.name, every=job.every, now=now)
        if missed:
            log.info("catching_up", job=job.name, missed=len(missed))
            run_job(sessions, job, missed[-1], now)


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


def keep_up(loop: Callable[[], None], stop: threading.Event) -> None:
    """Run `loop` until `stop`; what breaks it (a database away for a minute) is told, and it begins again."""
    while not stop.is_set():
        try:
            loop()
        except OperationalError as error:
            log.warning("loop_waits", error=str(error.orig)[:200])
            stop.wait(PAUSE_S * 5)
        except Exception as error:
            log.error("loop_begins_again", exc_info=error)
            stop.wait(PAUSE_S * 5)


class Worker:
    """Everything that runs beside the web processes. `start` returns at once; `stop` waits for what is under way."""

    def __init__(
        self,
        sessions: Sessions,
        *,
        ingest: Ingest | None,
        provider: Provider | None,
        post: mail.Post,
        provisioned: telemetry.Provisioned | None,
        elsewhere: Elsewhere = NOTHING_PRIVATE,
        signer: Signer | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        """`stop` may be set from outside, as by a signal: what waits gives up then; `stop()` is still to be called."""
        self._sessions, self._ingest, self._stop = sessions, ingest, stop or threading.Event()
        self._jobs = [*JOBS, sealing(signer)] if signer else JOBS
        self._scheduler = BackgroundScheduler(timezone="UTC")
        loops: list[Callable[[], None]] = [
            lambda: mail_loop(post, sessions, self._stop),
            lambda: calendar_loop(elsewhere, sessions, self._stop),
        ]
        if ingest:
            loops.append(lambda: telemetry.ingest_loop(ingest, sessions, self._stop))
            loops.append(lambda: telemetry.birth_loop(ingest, sessions, self._stop))
        if provider:
            loops.append(lambda: payment_loop(provider, sessions, self._stop))
            loops.append(lambda: event_loop(provider, sessions, self._stop))
        if provisioned:
            loops.append(lambda: telemetry.broker_loop(provisioned, sessions, self._stop))
        self._threads = [threading.Thread(target=keep_up, args=(loop, self._stop), daemon=True) for loop in loops]

    def start(self) -> None:
        """Once the database answers."""
        while not self._stop.is_set() and not self._caught_up():
            self._stop.wait(PAUSE_S * 5)
        if self._stop.is_set():
            return
        for job in self._jobs:
            self._scheduler.add_job(
                tick,
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
            catch_up(self._sessions)
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
