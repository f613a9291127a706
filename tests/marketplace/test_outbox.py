"""Messages: queued once with their cause, leased to one worker, tried again later and later, given up at last."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from marketplace import outbox
from marketplace.inbox.queries import messages_of
from marketplace.tables import Message
from tests.builders import a_person
from tests.marketplace.rivals import race

NOW = datetime(2026, 3, 10, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def queued(db: Session, cause: str = "booking:1:confirmed", *, person: str | None = None, now: datetime = NOW) -> str:
    person_id = person or a_person(db).id
    outbox.queue(db, person_id=person_id, kind="booking_confirmed", data={"booking_id": "bk_1"}, cause=cause, now=now)
    return db.scalars(select(Message.id).where(Message.cause == cause)).one()


def claimed(db: Session, now: datetime = NOW) -> list[str]:
    return [row.id for row in outbox.claim_due(db, now=now)]


def test_the_same_cause_queues_one_message(db: Session) -> None:
    person = a_person(db).id
    first = queued(db, person=person)
    assert queued(db, person=person, now=NOW + SECOND) == first
    assert db.scalar(select(func.count()).select_from(Message)) == 1


def test_the_same_cause_in_two_transactions_at_once_queues_one_message(committed_db: sessionmaker[Session]) -> None:
    with committed_db.begin() as session:
        person = a_person(session).id
    race(committed_db, lambda session: queued(session, person=person))
    with committed_db() as session:
        assert session.scalar(select(func.count()).select_from(Message)) == 1


def test_a_message_goes_with_the_transaction_that_caused_it(committed_db: sessionmaker[Session]) -> None:
    with committed_db() as session:
        queued(session)
        session.rollback()
    with committed_db() as session:
        assert claimed(session) == []


def test_a_message_is_leased_once_and_again_when_the_lease_is_over(db: Session) -> None:
    message = queued(db)
    assert claimed(db, NOW - SECOND) == []
    assert claimed(db) == [message]
    assert claimed(db, NOW + outbox.LEASE - SECOND) == []
    assert claimed(db, NOW + outbox.LEASE) == [message]


def test_two_workers_never_claim_the_same_message(committed_db: sessionmaker[Session]) -> None:
    with committed_db.begin() as session:
        person = a_person(session).id
        made = [queued(session, f"c{number}", person=person) for number in range(3)]
    found = race(committed_db, claimed)
    assert (sorted(found.first), found.second) == (sorted(made), [])


def test_what_a_worker_that_died_had_claimed_is_free_for_the_next(committed_db: sessionmaker[Session]) -> None:
    with committed_db.begin() as session:
        message = queued(session)
    with committed_db() as dying:
        assert claimed(dying) == [message]
    with committed_db() as session:
        assert claimed(session) == [message]


def test_a_clock_that_was_ahead_leaves_no_lease_for_ever(db: Session) -> None:
    message = queued(db)
    assert claimed(db, NOW + timedelta(days=300)) == [message]
    assert claimed(db) == [message]


def test_a_sent_message_is_never_claimed_again(db: Session) -> None:
    message = queued(db)
    claimed(db)
    outbox.mark_sent(db, message_id=message, now=NOW)
    assert db.get_one(Message, message).sent_at == NOW
    assert claimed(db, NOW + timedelta(days=9)) == []


def test_a_failed_message_waits_twice_as_long_each_time_and_is_given_up_after_eight(db: Session) -> None:
    message, now, waits = queued(db), NOW, []
    row = db.get_one(Message, message)
    for _ in range(outbox.ATTEMPTS):
        assert claimed(db, now) == [message]
        outbox.mark_failed(db, message_id=message, now=now)
        waits.append((row.run_at - now) // timedelta(minutes=1))
        assert claimed(db, row.run_at - SECOND) == []
        now = row.run_at
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128]
    assert (row.attempts, row.failed_at is not None, row.sent_at) == (8, True, None)
    assert claimed(db, now + timedelta(days=9)) == []
    assert [one.id for one in messages_of(db, row.person_id)] == [message]


def test_a_message_that_failed_before_is_sent_like_any_other(db: Session) -> None:
    message = queued(db)
    claimed(db)
    outbox.mark_failed(db, message_id=message, now=NOW)
    claimed(db, NOW + timedelta(minutes=1))
    outbox.mark_sent(db, message_id=message, now=NOW + timedelta(minutes=1))
    row = db.get_one(Message, message)
    assert (row.attempts, row.failed_at, row.lease_until) == (1, None, None)


def test_the_longest_waiting_are_claimed_first_and_no_more_than_a_batch(db: Session) -> None:
    person = a_person(db).id
    made = [queued(db, f"c{n}", person=person, now=NOW - n * SECOND) for n in range(outbox.BATCH + 2)]
    first = claimed(db)
    assert sorted(first) == sorted(made[2:])
    assert sorted(claimed(db)) == sorted(made[:2])


def test_an_inbox_shows_ones_own_messages_newest_first(db: Session) -> None:
    one, two = a_person(db).id, a_person(db).id
    made = [queued(db, f"c{n}", person=one, now=NOW + n * SECOND) for n in range(3)]
    other = queued(db, "other", person=two)
    assert [row.id for row in messages_of(db, one)] == made[::-1]
    assert [row.id for row in messages_of(db, one, limit=1)] == made[2:]
    assert [row.id for row in messages_of(db, two)] == [other]


def test_an_event_is_noted_once_until_it_is_long_over(db: Session) -> None:
    assert outbox.note_reminder(db, subject_id="bk_1", event_at=NOW, now=NOW)
    assert not outbox.note_reminder(db, subject_id="bk_1", event_at=NOW, now=NOW)
    assert outbox.note_reminder(db, subject_id="bk_1", event_at=NOW + SECOND, now=NOW)
    outbox.purge(db, now=NOW + outbox.KEEP)
    assert not outbox.note_reminder(db, subject_id="bk_1", event_at=NOW, now=NOW)
    outbox.purge(db, now=NOW + outbox.KEEP + SECOND)
    assert outbox.note_reminder(db, subject_id="bk_1", event_at=NOW, now=NOW)
