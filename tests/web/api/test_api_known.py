"""Whose a token was the last time saves a trip to the database, and grants nothing."""

from sqlalchemy import Update, select, update
from sqlalchemy.orm import Session

from marketplace import clock
from marketplace.people.actions import add_membership
from marketplace.people.secrets import digest
from marketplace.permissions import Grant
from marketplace.roles import Role
from marketplace.tables import ApiToken, Membership, Person
from tests.web.api.world import World, refused, span, tomorrow


def booked(world: World, hour: int, token: str | None = None, **more: str) -> int:
    path = f"/resources/{world.resource}/bookings"
    return world.post(path, token or world.member, json={**span(tomorrow(hour), 1), **more}).status_code


def sessions(world: World) -> Session:
    session: Session = world.client.app.state.sessions()  # type: ignore[attr-defined]
    return session


def of_member(world: World) -> Update:
    return update(ApiToken).where(ApiToken.secret_hash == digest(world.member))


def test_a_token_that_is_revoked_after_its_use_books_nothing_more(world: World) -> None:
    assert booked(world, 1) == 201
    with sessions(world) as session:
        session.execute(of_member(world).values(revoked_at=clock.now()))
        session.commit()
    reply = world.post(f"/resources/{world.resource}/bookings", world.member, json=span(tomorrow(4)))
    refused(reply, 401)
    with sessions(world) as session:
        session.execute(of_member(world).values(revoked_at=None))
        session.commit()
    assert booked(world, 4) == 201


def test_who_is_disabled_or_expired_is_so_from_the_next_request(world: World) -> None:
    assert booked(world, 1) == 201
    mine = select(ApiToken.person_id).where(ApiToken.secret_hash == digest(world.member)).scalar_subquery()
    token, person = of_member(world), update(Person).where(Person.id == mine)
    for change, values in ((person, {"disabled_at": clock.now()}), (token, {"expires_at": clock.now()})):
        with sessions(world) as session:
            session.execute(change.values(values))
            session.commit()
        assert booked(world, 4) == 401
        with sessions(world) as session:
            session.execute(change.values(dict.fromkeys(values)))
            session.commit()


def test_a_role_counts_from_the_next_request_and_no_longer_than_it_is_held(world: World) -> None:
    other = world.an_organisation()
    assert booked(world, 1) == 201
    assert booked(world, 4, organisation_id=other) == 403
    with sessions(world) as session:
        person = session.scalars(select(Membership.person_id).where(Membership.organisation_id == world.organisation)).one()
        grant = Grant(Role.MEMBER, organisation_id=other)
        made = add_membership(session, person_id=person, grant=grant, actor_id=None, now=clock.now()).id
        session.commit()
    assert booked(world, 4, organisation_id=other) == 201
    with sessions(world) as session:
        session.delete(session.get(Membership, made))
        session.commit()
    assert booked(world, 7, organisation_id=other) == 403
    assert booked(world, 7) == 201
