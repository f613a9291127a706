"""Who may log in as time goes by, what tells the broker's keeper to look, and what a revoked device says."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from sqlalchemy.orm import Session

from devices import logins, queries
from devices.intake import actions as intake
from devices.logins import Account, Admitted, Fault, Login, TurnedAway, judge
from devices.readings import Envelope
from devices.registry import actions as registry
from devices.registry.actions import (
    AT_ONCE,
    LONGEST_OVERLAP,
    Beside,
    Credentials,
    new_secret,
    register_device,
    revoke,
    set_thresholds,
)
from devices.tables import Device
from marketplace.refusals import Invalid
from tests.builders import a_resource

NOW = datetime(2026, 3, 10, 1, tzinfo=UTC)
AN_HOUR = timedelta(hours=1)
INGEST = Account("ingest", "secret")


def a_device(db: Session) -> tuple[Device, Credentials]:
    return register_device(db, resource_id=a_resource(db).id, name="plug", profile={}, actor_id=None, now=NOW)


def judged(db: Session, known: Credentials, at: datetime) -> Admitted | TurnedAway:
    return judge(db, Login(known.login, known.secret, known.key), account=INGEST, now=at)


def test_the_old_secret_counts_until_the_moment_it_ends_and_the_answer_never_longer(db: Session) -> None:
    row, old = a_device(db)
    overlap = timedelta(hours=24)
    new = new_secret(db, device_id=row.id, overlap=overlap, beside=Beside.SAME_NAME, actor_id="per_1", now=NOW)
    assert new.login == row.key
    moment, ends = timedelta(microseconds=1), NOW + overlap
    early, late = judged(db, old, NOW), judged(db, old, ends - moment)
    assert isinstance(early, Admitted)
    assert early.until is not None
    assert NOW + logins.LASTS - timedelta(seconds=logins.STAGGER_S) < early.until <= NOW + logins.LASTS
    assert late == Admitted(row.key, ends)
    assert judged(db, old, ends) == TurnedAway(Fault.WRONG_LOGIN, row.key)
    for at in (NOW, ends, ends + overlap):
        assert isinstance(judged(db, new, at), Admitted)


def names(db: Session, at: datetime) -> list[str]:
    return [name for name, _ in queries.logins(db, at=at)]


def test_for_a_broker_with_a_file_the_new_secret_has_the_other_name_until_the_old_one_ends(db: Session) -> None:
    row, old = a_device(db)
    overlap, moment = timedelta(hours=24), timedelta(microseconds=1)
    ends = NOW + overlap
    new = new_secret(db, device_id=row.id, overlap=overlap, actor_id="per_1", now=NOW)
    assert (new.key, new.login, new.topic) == (row.key, f"{row.key}.2", old.topic)
    assert names(db, ends - moment) == [row.key, f"{row.key}.2"]
    assert names(db, ends) == [f"{row.key}.2"]
    assert queries.logins_version(db, at=ends - moment) != queries.logins_version(db, at=ends)
    for known, at in ((old, NOW), (new, NOW), (new, ends)):
        assert isinstance(judged(db, known, at), Admitted)
    for name, secret in ((new.login, old.secret), (row.key, new.secret), (f"{row.key}.3", new.secret)):
        assert isinstance(judge(db, Login(name, secret, row.key), account=INGEST, now=NOW), TurnedAway)
    assert judge(db, Login(new.login, new.secret, new.login), account=INGEST, now=NOW) == judged(db, new, NOW)
    assert judge(db, Login(new.login, new.secret, "k2"), account=INGEST, now=NOW) == TurnedAway(Fault.CLIENT_ID, row.key)
    plain = new_secret(db, device_id=row.id, actor_id="per_1", now=ends)
    assert (plain.login, names(db, ends)) == (new.login, [new.login])
    back = new_secret(db, device_id=row.id, overlap=overlap, actor_id="per_1", now=ends)
    assert (back.login, names(db, ends)) == (row.key, [row.key, f"{row.key}.2"])
    revoke(db, device_id=row.id, actor_id="per_1", now=ends)
    assert names(db, ends) == []


def test_second_names_are_bounded_and_nothing_changes_where_there_are_too_many(
    db: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, known = a_device(db)
    monkeypatch.setattr(registry, "MOST_SECOND", 0)
    with pytest.raises(Invalid):
        new_secret(db, device_id=row.id, overlap=AN_HOUR, actor_id="per_1", now=NOW)
    db.expire_all()
    assert isinstance(judged(db, known, NOW), Admitted)


@pytest.mark.parametrize("overlap", [-timedelta(seconds=1), LONGEST_OVERLAP + timedelta(seconds=1)])
def test_an_overlap_without_end_is_refused(db: Session, overlap: timedelta) -> None:
    row, known = a_device(db)
    with pytest.raises(Invalid):
        new_secret(db, device_id=row.id, overlap=overlap, actor_id="per_1", now=NOW)
    assert isinstance(judged(db, known, NOW), Admitted)


def test_every_change_of_who_may_connect_is_another_version_and_nothing_else_is(db: Session) -> None:
    row, _ = a_device(db)
    seen = [(queries.logins_version(db, at=NOW), queries.logins(db, at=NOW))]

    def look() -> None:
        db.flush()
        seen.append((queries.logins_version(db, at=NOW), queries.logins(db, at=NOW)))

    set_thresholds(db, device_id=row.id, profile={"p_on": 120.0}, actor_id="per_1", now=NOW + AN_HOUR)
    look()
    assert seen[0] == seen[1]
    new_secret(db, device_id=row.id, overlap=AT_ONCE, actor_id="per_1", now=NOW)
    look()
    new_secret(db, device_id=row.id, overlap=AN_HOUR, actor_id="per_1", now=NOW)
    look()
    revoke(db, device_id=row.id, actor_id="per_1", now=NOW)
    look()
    new_secret(db, device_id=row.id, actor_id="per_1", now=NOW)
    look()
    a_device(db)
    look()
    later = seen[1:]
    assert len({version for version, _ in later}) == len(later)
    assert all(before != after for (_, before), (_, after) in pairwise(later))


def test_what_a_revoked_device_sends_is_turned_away_but_not_what_waited_in_the_broker(db: Session) -> None:
    row, known = a_device(db)
    told = Envelope(f"d/{known.key}/t", b'{"p":350}', NOW)
    revoke(db, device_id=row.id, actor_id="per_1", now=NOW)
    waited = told._replace(backlog=True)
    intake.store(db, [told, waited])
    assert queries.messages_of(db, row.id, since=NOW) == [waited]
    [refused] = queries.rejected_of(db, row.key)
    assert (refused.device_id, refused.reason, refused.detail) == (row.id, "unknown_device", "the device is revoked")
