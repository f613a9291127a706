"""Lists come in pages: `?limit=&cursor=`, every row once, and no page without a bound."""

from typing import Any

import pytest

from tests.web.api.world import World, refused


def walked(world: World, path: str, token: str | None = None) -> list[dict[str, Any]]:
    """Every row, two at a time."""
    found: list[dict[str, Any]] = []
    cursor: str | None = "0"
    while cursor is not None:
        reply = world.get(path, token, params={"limit": 2, "cursor": cursor})
        assert reply.status_code == 200, reply.text
        page = reply.json()
        assert len(page["items"]) <= 2
        found += page["items"]
        cursor = page["next_cursor"]
    return found


def test_devices_are_walked_page_by_page(world: World) -> None:
    path = f"/resources/{world.resource}/devices"
    made = [world.made(path, world.manager, {"name": f"表{n}", "profile": "native"})["id"] for n in range(5)]
    assert [row["id"] for row in walked(world, path, world.manager)] == made
    assert world.get(path, world.manager).json()["next_cursor"] is None


def test_institutions_are_walked_page_by_page(world: World) -> None:
    made = {world.an_institution() for _ in range(3)}
    ids = [row["id"] for row in walked(world, "/institutions")]
    assert len(ids) == len(set(ids))
    assert made <= set(ids)


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 201}, {"limit": "x"}, {"cursor": -1}, {"cursor": "x"}])
def test_a_page_without_sense_is_refused_by_its_field(world: World, query: dict[str, Any]) -> None:
    body = refused(world.get("/institutions", params=query), 422, "malformed")
    assert next(iter(query)) in str(body["reasons"])
