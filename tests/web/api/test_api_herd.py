"""Many at once for one resource over JSON: one has the slot, each of the others its own answer, and all of them are counted."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from sqlalchemy import func, select

from booking.tables import RefusedRequest
from marketplace.ids import new_id
from tests.web.api.world import Reply, World, refused, span, tomorrow
from web import checkout, lanes

MANY = 24


def all_at_once(world: World, tokens: list[str], path: str, **body: Any) -> list[Reply]:
    with ThreadPoolExecutor(len(tokens)) as threads:
        return list(threads.map(lambda token: world.post(path, token, json=body), tokens))


def noted(world: World, resource: str) -> int:
    with world.client.app.state.sessions() as session:  # type: ignore[attr-defined]
        count: int = session.scalar(select(func.count()).where(RefusedRequest.resource_id == resource))
        return count


def a_member(world: World) -> str:
    """Of a firm of their own."""
    return world.a_person("member", organisation_id=world.an_organisation())


def test_one_of_many_has_the_slot_and_the_others_ways_out(world: World) -> None:
    path = f"/resources/{world.resource}/bookings"
    replies = all_at_once(world, [world.member] * MANY, path, **span(tomorrow(2)))
    assert Counter(reply.status_code for reply in replies) == {201: 1, 409: MANY - 1}
    (won,) = [reply.json() for reply in replies if reply.status_code == 201]
    told = [refused(reply, 409, "slot_taken") for reply in replies if reply.status_code == 409]
    assert {len(one["alternatives"]) for one in told} == {3}
    assert {one["conflicts"][0]["start"] for one in told} == {won["start"]}
    assert noted(world, world.resource) == MANY - 1
    for way in told[-1]["alternatives"]:
        assert world.post(path, world.member, json=way).status_code == 201


def test_a_slot_given_back_is_free_at_once(world: World) -> None:
    path = f"/resources/{world.resource}/bookings"
    for _ in range(3):
        replies = all_at_once(world, [world.member] * MANY, path, **span(tomorrow(2)))
        (won,) = [reply.json() for reply in replies if reply.status_code == 201]
        assert world.post(f"/bookings/{won['id']}/cancel", world.member).status_code == 200
    assert world.post(path, world.member, json=span(tomorrow(2))).status_code == 201


def test_each_hears_what_holds_for_them(world: World) -> None:
    """Whose quota is used up does not stand in the way of another firm, who may not know a resource hears nothing of it."""
    quota = {"limit": 1, "unit": "count", "per": "month", "by": "organisation"}
    resource = world.a_resource(rules={"quotas": [quota]})
    path = f"/resources/{resource}/bookings"
    world.made(path, world.member, span(tomorrow(8)))
    other = a_member(world)
    tokens = [world.member] * 8 + [other] + [world.member] * 8 + ["pb_wrong"] * 2
    replies = all_at_once(world, tokens, path, **span(tomorrow(2)))
    assert Counter(reply.status_code for reply in replies) == {201: 1, 409: 16, 401: 2}
    assert replies[8].status_code == 201
    codes = {tuple(reason["code"] for reason in reply.json()["reasons"]) for reply in replies if reply.status_code == 409}
    assert codes <= {("over_quota_count",), ("over_quota_count", "slot_taken")}


def test_the_same_key_has_one_answer_among_many(world: World) -> None:
    path = f"/resources/{world.resource}/bookings"
    key = new_id("k")
    with ThreadPoolExecutor(MANY) as threads:
        asked = [key if number % 3 == 0 else None for number in range(MANY)]
        wish = partial(world.ask, "POST", path, token=world.member, json=span(tomorrow(2)))
        replies = list(threads.map(lambda key: wish(key=key), asked))
    won = [reply.json()["id"] for reply in replies if reply.status_code == 201]
    assert len(set(won)) == 1
    assert Counter(reply.status_code for reply in replies) == {201: len(won), 409: MANY - len(won)}


def test_whose_turn_does_not_come_in_time_is_asked_to_try_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "LONGEST_S", 0)
    granted = checkout.book
    monkeypatch.setattr(checkout, "book", lambda *args, **kwargs: (time.sleep(0.3), granted(*args, **kwargs))[1])
    path = f"/resources/{world.resource}/bookings"
    replies = all_at_once(world, [world.member] * MANY, path, **span(tomorrow(2)))
    late = [reply for reply in replies if reply.status_code == 503]
    for reply in late:
        refused(reply, 503, "busy")
        assert reply.headers["retry-after"] == "1"
    assert late
    counted = Counter({201: 1, 409: MANY - 1 - len(late), 503: len(late)})
    assert Counter(reply.status_code for reply in replies) == counted
    monkeypatch.undo()
    refused(world.post(path, world.member, json=span(tomorrow(2))), 409, "slot_taken")
