"""The inbox and one's own choice: in the app always, by mail at once, in one letter a day, or not at all."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as some
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from marketplace import outbox
from marketplace.inbox import actions, queries
from marketplace.inbox.tables import DigestEntry
from marketplace.refusals import Invalid, NotFound
from marketplace.tables import Message
from marketplace.topics import DIGEST, READERS_ZONE, Delivery, Topic, next_digest
from tests.builders import a_person
from tests.marketplace.rivals import race

NOW = datetime(2026, 3, 10, 3, tzinfo=UTC)  # 11:00 in Beijing
MORNING = datetime(2026, 3, 11, 0, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
ALL_DAILY = dict.fromkeys(Topic, Delivery.DIGEST)


def a_reader(db: Session, timezone: str = READERS_ZONE, **choices: Delivery) -> str:
    person = a_person(db).id
    actions.choose(db, person_id=person, choices={Topic(topic): way for topic, way in choices.items()}, timezone=timezone)
    return person


def told(db: Session, person: str, kind: str = "booking_confirmed", now: datetime = NOW, cause: str = "") -> str:
    key = cause or f"{person}:{kind}:{now.isoformat()}"
    outbox.queue(db, person_id=person, kind=kind, data={}, cause=key, now=now)
    return db.scalars(select(Message.id).where(Message.cause == key)).one()


def letters(db: Session, now: datetime) -> list[str]:
    """The kinds that a sender takes at `now`."""
    return [row.kind for row in outbox.claim_due(db, now=now)]


def digests(db: Session) -> list[Message]:
    return list(db.scalars(select(Message).where(Message.kind == DIGEST).order_by(Message.created_at)))


@pytest.mark.parametrize(
    ("kind", "topic"),
    [
        ("booking_changed", "bookings"),
        ("customer_cancelled", "bookings"),
        ("booking_reminder", "reminders"),
        ("statement_reminder", "reminders"),
        ("statement_ready", "statements"),
        ("request_to_decide", "decisions"),
    ],
)
def test_each_kind_follows_the_choice_for_its_topic(db: Session, kind: str, topic: str) -> None:
    person = a_reader(db, **{topic: Delivery.APP})
    told(db, person, kind)
    assert letters(db, NOW) == []
    assert [row.kind for row in queries.messages_of(db, person)] == [kind]
    assert queries.count_unread(db, person) == 1


@pytest.mark.parametrize("kind", ["password_reset", "invitation"])
def test_resets_and_invitations_are_always_sent(db: Session, kind: str) -> None:
    told(db, a_reader(db, **{topic.value: Delivery.APP for topic in Topic}), kind)
    assert letters(db, NOW) == [kind]


def test_nobody_writes_to_a_disabled_account(db: Session) -> None:
    person = a_person(db, disabled_at=NOW)
    told(db, person.id)
    assert letters(db, NOW) == []


def test_who_chose_nothing_gets_letters_at_once(db: Session) -> None:
    told(db, a_person(db).id)
    assert letters(db, NOW) == ["booking_confirmed"]


def test_the_daily_letter_lists_what_waited_and_comes_once(db: Session) -> None:
    person = a_reader(db, bookings=Delivery.DIGEST)
    waited = [told(db, person, now=NOW + n * MINUTE) for n in range(3)]
    actions.make_digests(db, now=MORNING - MINUTE)
    assert (letters(db, MORNING - MINUTE), digests(db)) == ([], [])
    for minute in range(3):
        actions.make_digests(db, now=MORNING + minute * MINUTE)
    assert [row.data for row in digests(db)] == [{"messages": waited, "more": 0}]
    assert letters(db, MORNING + HOUR) == [DIGEST]
    assert DIGEST not in {row.kind for row in queries.messages_of(db, person)}


def test_no_daily_letter_of_nothing_or_of_what_was_read_meanwhile(db: Session) -> None:
    person = a_reader(db, bookings=Delivery.DIGEST)
    actions.make_digests(db, now=MORNING)
    message = told(db, person)
    actions.mark_read(db, person_id=person, message_id=message, now=NOW + MINUTE)
    actions.make_digests(db, now=MORNING)
    assert digests(db) == []
    assert db.scalar(select(func.count()).select_from(DigestEntry)) == 0


def test_the_same_cause_waits_once(db: Session) -> None:
    person = a_reader(db, bookings=Delivery.DIGEST)
    for _ in range(2):
        told(db, person, cause="once")
        outbox.sort_due(db, now=NOW)
    assert db.scalar(select(func.count()).select_from(DigestEntry)) == 1


def test_the_daily_letter_comes_on_the_readers_clock(db: Session) -> None:
    person = a_reader(db, "Europe/Berlin", bookings=Delivery.DIGEST)
    told(db, person, now=datetime(2026, 3, 28, 12, tzinfo=UTC))  # the clocks go forward in the night
    morning = datetime(2026, 3, 29, 6, tzinfo=UTC)
    actions.make_digests(db, now=morning - MINUTE)
    assert digests(db) == []
    actions.make_digests(db, now=morning)
    assert len(digests(db)) == 1


def test_a_second_letter_on_one_day_waits_for_the_next(db: Session) -> None:
    person = a_reader(db, bookings=Delivery.DIGEST)
    told(db, person)
    actions.make_digests(db, now=MORNING)
    actions.choose(db, person_id=person, choices={}, timezone="Asia/Tokyo")
    told(db, person, now=MORNING - 2 * HOUR)  # due at 08:00 in Tokyo, an hour before Beijing's
    actions.make_digests(db, now=MORNING + MINUTE)
    assert len(digests(db)) == 1
    actions.make_digests(db, now=MORNING + 24 * HOUR)
    assert len(digests(db)) == 2


def test_a_long_list_says_how_many_more_there_are(db: Session) -> None:
    person = a_reader(db, bookings=Delivery.DIGEST)
    for number in range(actions.MOST_LISTED + 3):
        told(db, person, now=NOW + number * MINUTE)
    actions.make_digests(db, now=MORNING)
    (row,) = digests(db)
    assert (len(row.data["messages"]), row.data["more"]) == (actions.MOST_LISTED, 3)


def test_two_workers_make_one_daily_letter(committed_db: sessionmaker[Session]) -> None:
    with committed_db.begin() as session:
        told(session, a_reader(session, bookings=Delivery.DIGEST))
    race(committed_db, lambda session: actions.make_digests(session, now=MORNING))
    with committed_db() as session:
        assert len(digests(session)) == 1


def test_an_unknown_zone_is_refused_and_nothing_is_changed(db: Session) -> None:
    person = a_person(db).id
    with pytest.raises(Invalid):
        actions.choose(db, person_id=person, choices=ALL_DAILY, timezone="Mars/Base")
    assert set(queries.choices_of(db, person).values()) == {Delivery.AT_ONCE}


def test_a_choice_can_be_changed_back(db: Session) -> None:
    person = a_reader(db, **{topic.value: way for topic, way in ALL_DAILY.items()})
    actions.choose(db, person_id=person, choices=dict.fromkeys(Topic, Delivery.AT_ONCE), timezone=READERS_ZONE)
    told(db, person)
    assert letters(db, NOW) == ["booking_confirmed"]


def test_what_is_read_is_counted_no_more(db: Session) -> None:
    person, other = a_person(db).id, a_person(db).id
    messages = [told(db, person, now=NOW + n * MINUTE) for n in range(3)]
    told(db, other)
    actions.mark_read(db, person_id=person, message_id=messages[0], now=NOW + HOUR)
    assert (queries.count_unread(db, person), queries.count_unread(db, other)) == (2, 1)
    actions.mark_all_read(db, person_id=person, now=NOW + 2 * HOUR)
    db.expire_all()
    assert (queries.count_unread(db, person), queries.count_unread(db, other)) == (0, 1)
    assert db.get_one(Message, messages[0]).read_at == NOW + HOUR


def test_anothers_message_and_a_resets_link_cannot_be_opened_from_the_inbox(db: Session) -> None:
    person, other = a_person(db).id, a_person(db).id
    for owner, kind in ((other, "booking_confirmed"), (person, "password_reset")):
        with pytest.raises(NotFound):
            actions.mark_read(db, person_id=person, message_id=told(db, owner, kind), now=NOW)
    assert queries.messages_of(db, person) == []


def test_the_pages_of_an_inbox_follow_on_without_gap_or_repeat(db: Session) -> None:
    person = a_person(db).id
    made = [told(db, person, now=NOW + n // 2 * MINUTE, cause=f"{person}:{n}") for n in range(7)]
    seen: list[str] = []
    while page := queries.messages_of(db, person, before=seen[-1] if seen else None, limit=3):
        seen += [row.id for row in page]
    assert sorted(seen) == sorted(made)
    assert len(set(seen)) == 7


@given(some.integers(0, 10_000_000), some.sampled_from([READERS_ZONE, "Europe/Berlin", "Asia/Tokyo"]))
def test_the_next_daily_letter_is_at_eight_and_within_a_day_and_an_hour(minutes: int, zone: str) -> None:
    now = NOW + minutes * MINUTE
    due = next_digest(now, ZoneInfo(zone))
    assert (due.hour, due.minute) == (8, 0)
    assert timedelta() < due.astimezone(UTC) - now <= 25 * HOUR
