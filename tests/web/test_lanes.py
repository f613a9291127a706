"""Who waits in a lane for one resource, and what those before are allowed to have seen for them."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest

from booking.queries import Sight
from marketplace.refusals import Busy
from web import lanes
from web.lanes import Lanes, Note, Place

ONE, OTHER = (cast("Sight", object()) for _ in range(2))


def run_to_end(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """In a thread of its own: where a browser is driven, this one has a loop already."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(work())).result()


def in_a_row(found: Lanes, *steps: tuple[str, Callable[[Place], Any]]) -> list[Any]:
    """What each step answers; all come at once, in this order."""

    async def take(name: str, step: Callable[[Place], Any]) -> Any:
        async with found.turn(name) as place:
            await asyncio.sleep(0)
            return step(place)

    async def all_of_them() -> list[Any]:
        return await asyncio.gather(*(take(name, step) for name, step in steps))

    return run_to_end(all_of_them)


def show(seen: Sight | None) -> Callable[[Place], None]:
    return lambda place: place.show(seen)


def see(place: Place) -> Sight | None:
    return place.seen


def test_those_behind_see_what_was_seen_after_they_came_and_nobody_else() -> None:
    found = Lanes()
    assert in_a_row(found, ("a", see), ("a", show(ONE)), ("a", see), ("b", see), ("a", see)) == [None, None, ONE, None, ONE]
    assert in_a_row(found, ("a", see)) == [None]


def test_a_sight_is_as_old_as_its_first_look() -> None:
    """Handed on, it is not newer for those who came in between."""
    found, late = Lanes(), []

    async def latecomer() -> None:
        async with found.turn("a") as place:
            late.append(place.seen)

    async def first() -> None:
        async with found.turn("a") as place:
            place.show(ONE)
            tasks.append(asyncio.create_task(latecomer()))
            await asyncio.sleep(0)

    async def second() -> None:
        async with found.turn("a") as place:
            assert place.seen is ONE
            place.show(place.seen)

    tasks: list[asyncio.Task[None]] = []

    async def before_them() -> None:
        async with found.turn("a"):
            await asyncio.sleep(0)

    async def run() -> None:
        await asyncio.gather(before_them(), first(), second())
        await asyncio.gather(*tasks)

    run_to_end(run)
    assert late == [None]


def test_a_newer_sight_takes_the_place_of_the_older() -> None:
    assert in_a_row(Lanes(), ("a", show(ONE)), ("a", show(OTHER)), ("a", show(None)), ("a", see)) == [None, None, None, OTHER]


def test_only_the_last_of_a_lane_is_alone() -> None:
    def crowded(place: Place) -> bool:
        return place.is_crowded

    assert in_a_row(Lanes(), ("a", crowded), ("a", crowded), ("b", crowded), ("a", crowded)) == [True, True, False, False]


def test_what_is_noted_of_a_crowd_waits_for_its_last_or_until_it_is_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "MOST_NOTES", 3)
    note = cast("Note", object())

    def refused(place: Place) -> int:
        place.leave(note)
        return len(place.take_notes())

    def booked(place: Place) -> int:
        return len(place.take_notes())

    crowd = [("a", refused)] * 5 + [("b", refused), ("a", booked)]
    assert in_a_row(Lanes(), *crowd) == [0, 0, 3, 0, 0, 1, 2]


def test_who_gives_up_waiting_leaves_the_lane() -> None:
    found = Lanes()

    async def wait() -> None:
        async with found.turn("a"):
            await asyncio.sleep(60)

    async def run() -> bool:
        waiting = [asyncio.create_task(wait()) for _ in range(2)]
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        async with found.turn("a") as place:
            return place.is_crowded

    assert run_to_end(run) is False


def test_nobody_waits_for_ever_and_the_lane_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "LONGEST_S", 0.02)
    found = Lanes()

    async def run() -> bool:
        async with found.turn("a"):
            with pytest.raises(Busy):
                async with found.turn("a"):
                    pass
        async with found.turn("a") as place:
            return place.is_crowded

    assert run_to_end(run) is False
