"""A platform begins with one operator, made on the command line."""

from pathlib import Path
from subprocess import CalledProcessError

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from marketplace import clock
from marketplace.people.queries import find_actor_by_token
from marketplace.refusals import NotFound
from marketplace.roles import Role
from marketplace.tables import Membership, Person
from tests.builders import BORN, a_member, a_person
from tests.product import Product
from web.running import first_operator


@pytest.fixture
def command(database_url: str, tmp_path: Path) -> Product:
    """The command line over a fresh database."""
    return Product(tmp_path, database_url)


@pytest.mark.servers
def test_the_first_operator_gets_an_account_and_each_time_another_token_that_works(
    command: Product, committed_db: sessionmaker[Session]
) -> None:
    tokens = {
        command.run("token", "create", "--email", address, "--operator") for address in (" Ops@Example.com", "ops@example.com")
    }
    assert len(tokens) == 2
    with committed_db() as session:
        actors = [find_actor_by_token(session, token, now=clock.now()) for token in tokens]
        assert [(actor.is_operator, actor.email) for actor in actors if actor] == [(True, "ops@example.com")] * 2
        assert {first_operator(session).id} == {actor.person_id for actor in actors if actor}
        assert session.scalar(select(func.count()).select_from(Person)) == 1


@pytest.mark.servers
def test_a_token_is_made_for_a_known_address_only(command: Product, committed_db: sessionmaker[Session]) -> None:
    with pytest.raises(CalledProcessError) as refused:
        command.run("token", "create", "--email", "nobody@example.com")
    assert (refused.value.returncode, refused.value.stdout) == (1, "")
    assert "nobody@example.com" in refused.value.stderr
    with committed_db() as session:
        assert session.scalar(select(func.count()).select_from(Person)) == 0


@pytest.mark.servers
def test_an_ordinary_persons_token_carries_no_more_than_their_roles(
    command: Product, committed_db: sessionmaker[Session]
) -> None:
    with committed_db.begin() as session:
        email = a_person(session).email
    token = command.run("token", "create", "--email", email).strip()
    with committed_db() as session:
        actor = find_actor_by_token(session, token, now=clock.now())
        assert actor
        assert actor.grants == frozenset()


def test_the_first_operator_is_who_has_been_it_longest(db: Session) -> None:
    with pytest.raises(NotFound):
        first_operator(db)
    later, first = (a_member(db, Role.OPERATOR) for _ in range(2))
    a_member(db, Role.EVALUATOR)
    assert first_operator(db).id == min(later.id, first.id)
    for row, year in ((later, 2025), (first, 2024)):
        (membership,) = db.scalars(select(Membership).where(Membership.person_id == row.id))
        membership.created_at = BORN.replace(year=year)
    db.flush()
    assert first_operator(db).id == first.id
