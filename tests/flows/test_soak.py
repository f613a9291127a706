"""The short form of `make soak`: broker, worker and database die once each, and the worker stays away for some seconds."""

from collections.abc import Iterator

import pytest

from tests.flows.soak import KINDS, Soak, a_soak, downtime, kills

pytestmark = pytest.mark.servers
AWAY_S = 6.0


@pytest.fixture(scope="module")
def soak(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Soak]:
    with a_soak(tmp_path_factory.mktemp("soak")) as made:
        yield made


def test_what_was_acknowledged_is_stored_once_whatever_dies(soak: Soak) -> None:
    found = kills(soak, rounds=len(KINDS), seed=1, devices=4)
    assert set(found.kills) == set(KINDS)
    assert found.acknowledged == found.sent > 100
    assert (found.lost, found.doubled) == (0, 0)
    assert found.lost_in_the_last_round == 0
    assert soak.product.run("audit") == "Every invariant holds."


def test_what_came_while_nobody_listened_is_placed_by_its_own_time_or_not_at_all(soak: Soak) -> None:
    """With a time of its own it fills the silence; without one nobody knows when it was, and the silence ends the run."""
    found = downtime(soak, seconds=AWAY_S)
    ((begin, end, confirmed_s, unverified_s),) = found.timed
    assert begin < found.left
    assert end is None or end >= found.back
    assert confirmed_s >= (found.back - begin).total_seconds() - 1
    assert unverified_s == 0
    (before, after) = found.untimed
    assert before[1] is not None
    assert found.left - 5 * found.every < before[1] < found.left + found.every
    assert after[0] > found.back
    assert after[2] < AWAY_S
