"""One answer per key: the same request hears it again, another is refused, a twin in flight waits."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.orm import Session, sessionmaker

from marketplace import idempotency
from marketplace.idempotency import Answer, KeyReused
from tests.marketplace.rivals import race

NOW = datetime(2026, 3, 10, 1, tzinfo=UTC)
NAMES = {"principal": "who", "method": "POST", "path": "/api/v1/bookings", "key": "k1"}
BODY = '{"id":"bk_1","名":"x"}'.encode()


def begun(db: Session, *, request: str = "same", now: datetime = NOW) -> Answer | None:
    return idempotency.begin(db, **NAMES, request_hash=request, now=now)


def answered(db: Session) -> Answer | None:
    """What the first request does: begin, act, remember; what a later one hears."""
    if saved := begun(db):
        return saved
    idempotency.remember(db, **NAMES, status=201, body=BODY)
    return None


def test_the_same_request_hears_the_same_answer(db: Session) -> None:
    assert answered(db) is None
    db.expire_all()
    assert [begun(db), begun(db, now=NOW + timedelta(days=1))] == [Answer(201, BODY)] * 2


def test_the_same_key_with_another_body_is_refused(db: Session) -> None:
    answered(db)
    with pytest.raises(KeyReused) as refused:
        begun(db, request="other")
    assert refused.value.values == {"key": "k1"}


@pytest.mark.parametrize("other", [{name: "another"} for name in NAMES], ids=list(NAMES))
def test_another_person_method_path_or_key_is_another_request(db: Session, other: dict[str, str]) -> None:
    answered(db)
    assert idempotency.begin(db, **{**NAMES, **other}, request_hash="other", now=NOW) is None


def test_a_twin_in_flight_waits_and_hears_the_first_ones_answer(committed_db: sessionmaker[Session]) -> None:
    found = race(committed_db, answered)
    assert (found.first, found.second, found.waited) == (None, Answer(201, BODY), True)


def test_a_twin_of_a_request_that_failed_is_the_first(committed_db: sessionmaker[Session]) -> None:
    found = race(committed_db, answered, end=Session.rollback)
    assert (found.first, found.second, found.waited) == (None, None, True)
    with committed_db() as session:
        assert begun(session) == Answer(201, BODY)


def test_a_twin_in_flight_with_another_body_is_refused(committed_db: sessionmaker[Session]) -> None:
    bodies = iter(("same", "other"))

    def ask(session: Session) -> str:
        try:
            begun(session, request=next(bodies))
        except KeyReused:
            return "refused"
        return "first"

    found = race(committed_db, ask)
    assert (found.first, found.second) == ("first", "refused")


def test_keys_are_forgotten_after_three_days(db: Session) -> None:
    answered(db)
    idempotency.purge(db, now=NOW + timedelta(days=3))
    assert begun(db) == Answer(201, BODY)
    idempotency.purge(db, now=NOW + timedelta(days=3, seconds=1))
    db.expire_all()
    assert begun(db, request="other") is None
