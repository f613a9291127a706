"""What is due by the clock and how often. Nothing here commits: the worker does, a slot of a job at a time."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from billing import actions as billing
from billing import queries as bills
from billing.payments import due as payments_due
from billing.payments import refunds
from billing.reconciling import actions as reconciling
from billing.reminders import actions as statements_due
from billing.resale import actions as resale
from booking import actions as booking
from booking import queries as bookings
from booking.places import lock_places_of
from booking.reminders import actions as bookings_ahead
from booking.swaps import actions as swaps
from booking.waiting import actions as waiting
from devices import actions as devices
from devices import queries as equipment
from devices.absences import actions as absences
from devices.archive import actions as archive
from devices.evidence import actions as evidence
from devices.evidence.keys import Signer
from devices.flags import actions as flags
from devices.overruns import actions as overruns
from evaluation import actions as evaluation
from evaluation.periods import last_year_end
from evaluation.schemes import DEFAULT, load_scheme
from marketplace import idempotency, jobs, outbox
from marketplace.inbox import actions as inbox
from marketplace.people import limits
from marketplace.refusals import WrongState
from web import checkout


@dataclass(frozen=True, slots=True)
class Job:
    """Something that is due every `every`; `run` is idempotent and bounded."""

    name: str
    every: timedelta
    run: Callable[[Session, datetime], object]
    goes_on: bool = False
    """While it has found something to do, it does more of it in transactions of their own, for half of `every` at most."""


def conclude_bookings(session: Session, now: datetime) -> None:
    """Carry the devices' verdicts into the bookings."""
    verdicts = sorted(equipment.verdicts_to_conclude(session))  # bookings are locked in the order of their ids, as folds do
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


def look_at_meters(session: Session, now: datetime) -> None:
    """Raise open questions about what meters said, and about use before the evaluated year ended."""
    flags.look_at_days(session, now=now, year_end=last_year_end(load_scheme(DEFAULT), now))


def purge(session: Session, now: datetime) -> None:
    """Forget what has served its time."""
    jobs.purge(session, now=now)
    idempotency.purge(session, now=now)
    limits.purge(session, now=now)
    outbox.purge(session, now=now)


def _at(action: Callable[..., object]) -> Callable[[Session, datetime], object]:
    return lambda session, now: action(session, now=now)


JOBS: Sequence[Job] = (
    Job("fold", timedelta(seconds=3), _at(devices.fold_devices), goes_on=True),
    Job("flags", timedelta(seconds=10), look_at_meters),
    Job("confirm_uses", timedelta(seconds=5), _at(devices.confirm_uses)),
    Job("conclude", timedelta(seconds=5), conclude_bookings),
    Job("holds", timedelta(seconds=3), expire_holds),
    Job("lapse_offers", timedelta(seconds=3), _at(waiting.lapse)),
    Job("look_at_lines", timedelta(seconds=10), _at(waiting.look)),
    Job("close_pages", timedelta(seconds=30), _at(payments_due.close_pages), goes_on=True),
    Job("take_holds", timedelta(minutes=10), _at(payments_due.take_holds), goes_on=True),
    Job("refund_again", timedelta(minutes=10), _at(refunds.refund_again), goes_on=True),
    Job("guard_holds", timedelta(minutes=10), _at(payments_due.guard_holds)),
    Job("draft_statements", timedelta(seconds=5), _at(billing.draft_statements), goes_on=True),
    Job("accept_silent", timedelta(minutes=1), _at(billing.accept_silent), goes_on=True),
    Job("pay_out_due", timedelta(minutes=10), _at(payments_due.pay_out_due), goes_on=True),
    Job("charge_again", timedelta(minutes=10), _at(payments_due.charge_again), goes_on=True),
    Job("credit_resold_fees", timedelta(minutes=1), _at(resale.decide_due)),
    Job("remind_of_bookings", timedelta(minutes=1), _at(bookings_ahead.remind)),
    Job("warn_of_overruns", timedelta(seconds=30), _at(overruns.warn)),
    Job("tell_of_absences", timedelta(seconds=30), _at(absences.tell)),
    Job("remind_of_statements", timedelta(minutes=1), _at(statements_due.remind)),
    Job("expire_swaps", timedelta(minutes=1), _at(swaps.expire_overdue)),
    Job("digests", timedelta(minutes=1), _at(inbox.make_digests)),
    Job("publish", timedelta(hours=1), lambda session, now: evaluation.publish_due(session, now=now, limit=1), goes_on=True),
    Job("answer_discrepancies", timedelta(minutes=10), _at(evaluation.answer_discrepancies), goes_on=True),
    Job("close_days", timedelta(minutes=10), _at(reconciling.close_days), goes_on=True),
    Job("ask_checks", timedelta(minutes=10), _at(reconciling.ask_nightly)),
    Job("purge", timedelta(hours=6), purge),
)


def forgetting(keep: timedelta) -> Job:
    """Rejected messages are kept as long as raw ones stay in the database."""
    return Job("forget_rejected", timedelta(minutes=1), lambda session, now: archive.forget_rejected(session, keep=keep, now=now))


def sealing(signer: Signer) -> Job:
    """Once a day there is something to do; after a stop it catches up in small steps."""
    return Job("seal_evidence", timedelta(minutes=1), lambda session, now: evidence.seal_due(session, signer=signer, now=now))
