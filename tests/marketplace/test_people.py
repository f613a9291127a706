"""People: registration, invitation, reset, sign-in, tokens, the platform's first operator."""

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from marketplace.people import actions, limits, queries
from marketplace.people.actions import CreditCodeTaken, EmailTaken, Firm, House, WrongPassword
from marketplace.people.secrets import digest
from marketplace.permissions import Grant
from marketplace.refusals import Invalid, NotFound, Refusal, TooMany
from marketplace.roles import Role
from marketplace.tables import (
    ApiToken,
    Attempt,
    Institution,
    InstitutionKind,
    Membership,
    Organisation,
    Person,
    RelatedParty,
    SignIn,
    Ticket,
)
from tests.builders import a_person, an_institution, an_organisation
from tests.marketplace.rivals import race

NOW = datetime(2026, 3, 10, 1, tzinfo=UTC)
PASSWORD = "correct horse battery"
CODE = "91350100M000100Y43"
WINDOW = timedelta(minutes=5)


def registered(db: Session, *, email: str = "li@example.com", code: str | None = None) -> tuple[Organisation, Person]:
    firm = Firm("蓉创新材料", code, is_sme=True)
    return actions.register_firm(db, firm=firm, email=email, name="李梅", password=PASSWORD, locale="zh", now=NOW)


def invited(db: Session, house: Institution, *, email: str = "new@example.com") -> str:
    grant = Grant(Role.TECHNICIAN, institution_id=house.id)
    return actions.invite(db, email=email, grant=grant, actor_id=a_person(db).id, now=NOW)


def accepted(db: Session, secret: str, *, password: str = PASSWORD, now: datetime = NOW) -> Person:
    return actions.accept_invitation(db, secret=secret, name="王强", password=password, locale="en", now=now)


def count(db: Session, table: type) -> int:
    return db.scalar(select(func.count()).select_from(table)) or 0


def test_a_firm_and_its_first_member_register_at_once(db: Session) -> None:
    organisation, person = registered(db, email=" Li@Example.COM ", code=CODE.lower())
    assert (person.email, organisation.credit_code, organisation.is_sme) == ("li@example.com", CODE, True)
    assert queries.get_actor(db, person.id).grants == {Grant(Role.MEMBER, organisation_id=organisation.id)}
    assert actions.check_sign_in(db, email="LI@example.com", password=PASSWORD, address="::1", now=NOW) is person


def test_only_a_hash_of_the_password_is_kept(db: Session) -> None:
    _, person = registered(db)
    assert person.password_hash
    assert person.password_hash.startswith("$argon2")
    assert PASSWORD not in person.password_hash


def test_the_product_hashes_with_argon2id_at_its_recommended_cost() -> None:
    code = "from marketplace.people import secrets; print(secrets.hash_password('a long password'))"
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout  # tests hash quicker
    assert printed.startswith("$argon2id$v=19$m=65536,t=3,p=4$")


def test_an_address_has_one_account_and_a_failed_registration_leaves_no_firm(db: Session) -> None:
    registered(db)
    with pytest.raises(EmailTaken), db.begin_nested():
        registered(db, email="LI@example.com")
    assert (count(db, Organisation), count(db, Person), count(db, Membership)) == (1, 1, 1)


def test_of_two_who_register_one_address_at_once_one_gets_it(committed_db: sessionmaker[Session]) -> None:
    def register(session: Session) -> bool:
        try:
            return bool(registered(session))
        except EmailTaken:
            session.rollback()
            return False

    found = race(committed_db, register)
    assert (found.first, found.second, found.waited) == (True, False, True)
    with committed_db() as session:
        assert (count(session, Person), count(session, Organisation)) == (1, 1)


def test_a_credit_code_has_one_firm(db: Session) -> None:
    registered(db, code=CODE)
    with pytest.raises(CreditCodeTaken):
        registered(db, email="other@example.com", code=CODE)
    registered(db, email="none@example.com")
    registered(db, email="none.either@example.com")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"email": "a@b@c"}, "email"),
        ({"email": "a b@example.com"}, "email"),
        ({"email": "@example.com"}, "email"),
        ({"email": "a@"}, "email"),
        ({"email": "a" * 200 + "@example.com"}, "email"),
        ({"name": " "}, "name"),
        ({"name": "a\u0000b"}, "name"),
        ({"name": "\u202etxt.exe"}, "name"),
        ({"password": "a" * 9}, "password"),
        ({"password": "a" * 201}, "password"),
    ],
)
def test_an_account_that_cannot_be_is_refused_naming_the_field(db: Session, change: dict[str, str], field: str) -> None:
    given = {"email": "li@example.com", "name": "李梅", "password": PASSWORD, **change}
    with pytest.raises(Invalid) as refused:
        actions.create_person(db, **given, actor_id=None, now=NOW)  # type: ignore[arg-type]
    assert refused.value.values["field"] == field
    assert count(db, Person) == 0


@pytest.mark.parametrize("password", ["a" * 10, "a" * 200])
def test_the_shortest_and_the_longest_password_sign_in(db: Session, password: str) -> None:
    actions.create_person(db, email="li@example.com", name="李梅", password=password, actor_id=None, now=NOW)
    assert actions.check_sign_in(db, email="li@example.com", password=password, address="::1", now=NOW)


def test_an_institutions_time_zone_must_exist(db: Session) -> None:
    with pytest.raises(Invalid) as refused:
        actions.create_institution(db, house=House("院", InstitutionKind.INSTITUTE, "Mars/Base"), actor_id=None, now=NOW)
    assert refused.value.values["field"] == "timezone"


def test_a_department_needs_its_institution(db: Session) -> None:
    with pytest.raises(NotFound):
        actions.create_organisation(db, firm=Firm("系", None, is_sme=False, institution_id="ins_none"), actor_id=None, now=NOW)


def test_a_related_party_is_declared_once(db: Session) -> None:
    firm, house = an_organisation(db), an_institution(db)
    for _ in range(2):
        actions.declare_related(
            db, organisation_id=firm.id, institution_id=house.id, reason="同一控股", actor_id=a_person(db).id, now=NOW
        )
    assert count(db, RelatedParty) == 1
    assert queries.is_related(db, organisation_id=firm.id, institution_id=house.id)
    assert queries.related_pairs(db, [house.id]) == {(firm.id, house.id)}


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("scope", ["platform", "institution", "organisation", "both"])
def test_a_role_goes_with_its_own_scope_only(db: Session, role: Role, scope: str) -> None:
    house = an_institution(db).id if scope in {"institution", "both"} else None
    firm = an_organisation(db).id if scope in {"organisation", "both"} else None
    fitting = {
        "platform": {Role.OPERATOR, Role.EVALUATOR},
        "institution": {Role.MANAGER, Role.TECHNICIAN, Role.FINANCE},
        "organisation": {Role.MEMBER},
        "both": set(),
    }
    person = a_person(db)
    grant = Grant(role, house, firm)
    if role in fitting[scope]:
        actions.add_membership(db, person_id=person.id, grant=grant, actor_id=None, now=NOW)
        assert queries.get_actor(db, person.id).grants == {grant}
    else:
        with pytest.raises(Invalid):
            actions.add_membership(db, person_id=person.id, grant=grant, actor_id=None, now=NOW)
        assert queries.get_actor(db, person.id).grants == set()


def test_an_invitation_makes_the_account_of_the_invited_address(db: Session) -> None:
    house = an_institution(db)
    secret = invited(db, house, email="New@Example.com")
    assert [row.email for row in queries.open_invitations(db, institution_id=house.id)] == ["new@example.com"]
    person = accepted(db, secret)
    assert (person.email, person.name, person.locale) == ("new@example.com", "王强", "en")
    assert queries.get_actor(db, person.id).grants == {Grant(Role.TECHNICIAN, institution_id=house.id)}
    assert queries.open_invitations(db, institution_id=house.id) == []


def test_an_invitation_is_used_once(db: Session) -> None:
    secret = invited(db, an_institution(db))
    accepted(db, secret)
    with pytest.raises(NotFound):
        accepted(db, secret)
    assert count(db, Membership) == 1


@pytest.mark.parametrize(("age", "good"), [(timedelta(days=14, seconds=-1), True), (timedelta(days=14), False)])
def test_an_invitation_is_good_for_fourteen_days(db: Session, age: timedelta, good: bool) -> None:
    secret = invited(db, an_institution(db))
    if good:
        assert accepted(db, secret, now=NOW + age)
    else:
        with pytest.raises(NotFound):
            accepted(db, secret, now=NOW + age)


@pytest.mark.parametrize("email", ["", "nobody", "a@b@c", "a b@example.com"])
def test_nobody_is_invited_at_what_is_no_address(db: Session, email: str) -> None:
    with pytest.raises(Invalid):
        invited(db, an_institution(db), email=email)
    assert count(db, Ticket) == 0


def test_an_account_that_exists_gains_the_role_with_its_own_password_only(db: Session) -> None:
    _, person = registered(db)
    house = an_institution(db)
    secret = invited(db, house, email=person.email)
    with pytest.raises(WrongPassword), db.begin_nested():
        accepted(db, secret, password="another password")
    assert len(queries.get_actor(db, person.id).grants) == 1
    assert accepted(db, secret) is person
    assert Grant(Role.TECHNICIAN, institution_id=house.id) in queries.get_actor(db, person.id).grants
    assert person.name == "李梅"


def test_a_password_that_is_too_short_does_not_spend_the_invitation(db: Session) -> None:
    secret = invited(db, an_institution(db))
    with pytest.raises(Invalid), db.begin_nested():
        accepted(db, secret, password="short")
    assert accepted(db, secret)


def test_a_link_is_known_by_its_hash_only(db: Session) -> None:
    secret = invited(db, an_institution(db))
    assert db.scalars(select(Ticket.secret_hash)).all() == [digest(secret)]


def asked(db: Session, email: str = "li@example.com") -> str:
    found = actions.ask_reset(db, email=email, now=NOW)
    assert found
    return found[1]


def test_a_reset_sets_the_password_ends_every_session_and_works_once(db: Session) -> None:
    _, person = registered(db)
    cookie = actions.sign_in(db, person=person, user_agent="x", now=NOW)
    secret = asked(db, " LI@example.com ")
    actions.reset_password(db, secret=secret, password="a new password", now=NOW)
    assert queries.find_actor_by_session(db, cookie, now=NOW) is None
    assert actions.check_sign_in(db, email=person.email, password="a new password", address="::1", now=NOW)
    with pytest.raises(WrongPassword):
        actions.check_sign_in(db, email=person.email, password=PASSWORD, address="::1", now=NOW)
    with pytest.raises(NotFound):
        actions.reset_password(db, secret=secret, password="yet another one", now=NOW)


@pytest.mark.parametrize(("age", "good"), [(timedelta(hours=2, seconds=-1), True), (timedelta(hours=2), False)])
def test_a_reset_is_good_for_two_hours(db: Session, age: timedelta, good: bool) -> None:
    registered(db)
    secret = asked(db)
    if good:
        assert actions.reset_password(db, secret=secret, password="a new password", now=NOW + age)
    else:
        with pytest.raises(NotFound):
            actions.reset_password(db, secret=secret, password="a new password", now=NOW + age)


def test_a_password_that_is_too_short_does_not_spend_the_reset(db: Session) -> None:
    registered(db)
    secret = asked(db)
    with pytest.raises(Invalid):
        actions.reset_password(db, secret=secret, password="short", now=NOW)
    assert actions.reset_password(db, secret=secret, password="a new password", now=NOW)


def test_nothing_is_sent_where_no_account_is_or_it_is_closed(db: Session) -> None:
    assert actions.ask_reset(db, email="li@example.com", now=NOW) is None
    _, person = registered(db)
    person.disabled_at = NOW
    assert actions.ask_reset(db, email=person.email, now=NOW) is None
    assert count(db, Ticket) == 0


def test_a_reset_is_no_invitation_and_an_invitation_no_reset(db: Session) -> None:
    registered(db)
    reset, invitation = asked(db), invited(db, an_institution(db))
    with pytest.raises(NotFound):
        accepted(db, reset)
    with pytest.raises(NotFound):
        actions.reset_password(db, secret=invitation, password="a new password", now=NOW)


def test_a_password_is_changed_by_who_knows_the_present_one(db: Session) -> None:
    _, person = registered(db)
    with pytest.raises(WrongPassword):
        actions.change_password(db, person_id=person.id, present="guessed wrong", password="a new password", now=NOW)
    with pytest.raises(Invalid):
        actions.change_password(db, person_id=person.id, present=PASSWORD, password="short", now=NOW)
    actions.change_password(db, person_id=person.id, present=PASSWORD, password="a new password", now=NOW)
    assert actions.check_sign_in(db, email=person.email, password="a new password", address="::1", now=NOW) is person


def refusal(db: Session, email: str, password: str, *, address: str = "10.0.0.1", now: datetime = NOW) -> Refusal:
    with pytest.raises(Refusal) as refused:
        actions.check_sign_in(db, email=email, password=password, address=address, now=now)
    return refused.value


def test_what_was_wrong_is_not_said(db: Session) -> None:
    _, person = registered(db)
    a_person(db, email="no.password@example.com")
    found = [refusal(db, *pair) for pair in ((person.email, "wrong"), ("nobody@example.com", PASSWORD), ("", ""))]
    found.append(refusal(db, "no.password@example.com", PASSWORD))
    person.disabled_at = NOW
    found.append(refusal(db, person.email, PASSWORD))
    assert {(one.code, *one.values) for one in found} == {("wrong_password",)}


def test_after_ten_tries_in_five_minutes_even_the_right_password_waits(db: Session) -> None:
    _, person = registered(db)
    for _ in range(10):
        assert isinstance(refusal(db, person.email, "wrong"), WrongPassword)
    late = refusal(db, f" {person.email.upper()} ", PASSWORD, now=NOW + timedelta(minutes=1))
    assert isinstance(late, TooMany)
    assert late.values["retry_after_s"] == 241
    assert actions.check_sign_in(db, email=person.email, password=PASSWORD, address="10.0.0.2", now=NOW)
    assert isinstance(refusal(db, "someone.else@example.com", "wrong"), WrongPassword)
    assert actions.check_sign_in(db, email=person.email, password=PASSWORD, address="10.0.0.1", now=NOW + WINDOW)


def test_tries_of_two_processes_at_once_are_both_counted(committed_db: sessionmaker[Session]) -> None:
    def attempt(session: Session) -> None:
        limits.count(session, "sign_in:10.0.0.1:x", limit=10, window=WINDOW, now=NOW)

    for _ in range(2):
        race(committed_db, attempt)
    with committed_db() as session:
        assert session.scalars(select(Attempt.count)).all() == [4]


def test_old_tries_are_forgotten(db: Session) -> None:
    limits.count(db, "x", limit=1, window=WINDOW, now=NOW)
    limits.purge(db, now=NOW + timedelta(days=2))
    with pytest.raises(TooMany):
        limits.count(db, "x", limit=1, window=WINDOW, now=NOW)
    limits.purge(db, now=NOW + timedelta(days=2, seconds=1))
    limits.count(db, "x", limit=1, window=WINDOW, now=NOW)


def test_a_session_ends_by_signing_out(db: Session) -> None:
    person = a_person(db)
    one, two = (actions.sign_in(db, person=person, user_agent="x" * 500, now=NOW) for _ in range(2))
    assert db.scalars(select(SignIn.secret_hash).order_by(SignIn.secret_hash)).all() == sorted(map(digest, (one, two)))
    actions.sign_out(db, secret=one)
    assert queries.find_actor_by_session(db, one, now=NOW) is None
    assert queries.find_actor_by_session(db, two, now=NOW)


def test_a_session_is_ended_by_its_owner_only(db: Session) -> None:
    person = a_person(db)
    secret = actions.sign_in(db, person=person, user_agent="x", now=NOW)
    actions.end_session(db, person_id=a_person(db).id, secret_hash=digest(secret))
    assert queries.find_actor_by_session(db, secret, now=NOW)
    actions.end_session(db, person_id=person.id, secret_hash=digest(secret))
    assert queries.find_actor_by_session(db, secret, now=NOW) is None


def test_a_session_ends_after_eight_idle_hours_and_after_seven_days(db: Session) -> None:
    secret = actions.sign_in(db, person=a_person(db), user_agent="x", now=NOW)
    hour = timedelta(hours=1)
    assert queries.find_actor_by_session(db, secret, now=NOW + 8 * hour)
    assert queries.find_actor_by_session(db, secret, now=NOW + 8 * hour + timedelta(seconds=1)) is None
    for hours in range(7, 7 * 24, 7):
        actions.touch_session(db, secret=secret, now=NOW + hours * hour)
    db.expire_all()
    assert queries.find_actor_by_session(db, secret, now=NOW + timedelta(days=7))
    assert queries.find_actor_by_session(db, secret, now=NOW + timedelta(days=7, seconds=1)) is None


def test_a_token_opens_its_owners_account_until_it_is_revoked(db: Session) -> None:
    person, other = a_person(db), a_person(db)
    token = actions.create_token(db, person_id=person.id, label="脚本", now=NOW)
    actor = queries.find_actor_by_token(db, token, now=NOW)
    assert actor
    assert actor.person_id == person.id
    (row,) = queries.tokens_of(db, person.id)
    assert (row.secret_hash, row.label) == (digest(token), "脚本")
    actions.revoke_token(db, person_id=other.id, token_id=row.id, now=NOW)
    db.expire_all()
    assert queries.find_actor_by_token(db, token, now=NOW)
    actions.revoke_token(db, person_id=person.id, token_id=row.id, now=NOW)
    db.expire_all()
    assert queries.find_actor_by_token(db, token, now=NOW) is None
    assert queries.tokens_of(db, person.id) == []


def test_a_token_ends_when_it_says_so(db: Session) -> None:
    token = actions.create_token(db, person_id=a_person(db).id, label="x", now=NOW, expires_at=NOW + WINDOW)
    assert queries.find_actor_by_token(db, token, now=NOW + WINDOW - timedelta(seconds=1))
    assert queries.find_actor_by_token(db, token, now=NOW + WINDOW) is None


def altered(token: str) -> list[str]:
    return ["", "pb_", token[:-1], token + "x", token.removeprefix("pb_"), token.upper()]


def test_what_is_not_quite_the_token_opens_nothing(db: Session) -> None:
    token = actions.create_token(db, person_id=a_person(db).id, label="x", now=NOW)
    assert [queries.find_actor_by_token(db, wrong, now=NOW) for wrong in altered(token)] == [None] * 6
    assert queries.find_actor_by_token(db, db.scalars(select(ApiToken.secret_hash)).one(), now=NOW) is None


@pytest.mark.parametrize("label", ["", " ", "a" * 201, "a\nb"])
def test_a_token_needs_a_label(db: Session, label: str) -> None:
    with pytest.raises(Invalid):
        actions.create_token(db, person_id=a_person(db).id, label=label, now=NOW)


def test_a_closed_account_is_open_in_no_way(db: Session) -> None:
    _, person = registered(db)
    ways: list[Callable[[], object]] = [
        lambda: queries.find_actor_by_token(db, token, now=NOW),
        lambda: queries.find_actor_by_session(db, cookie, now=NOW),
    ]
    token = actions.create_token(db, person_id=person.id, label="x", now=NOW)
    cookie = actions.sign_in(db, person=person, user_agent="x", now=NOW)
    assert all(way() for way in ways)
    person.disabled_at = NOW
    db.flush()
    assert [way() for way in ways] == [None, None]
    with pytest.raises(NotFound):
        queries.get_actor(db, person.id)
