"""Ids: opaque, unique, in the order they were made."""

import re
import time

from marketplace.ids import new_id


def test_an_id_tells_its_kind_and_is_safe_anywhere() -> None:
    assert re.fullmatch(r"res_[0-9a-hjkmnp-tv-z]{20}", new_id("res"))


def test_many_ids_of_one_moment_differ() -> None:
    assert len({new_id("x") for _ in range(20_000)}) == 20_000


def test_ids_sort_by_the_millisecond_they_were_made_in() -> None:
    made = []
    for _ in range(20):
        made.append(new_id("x"))
        time.sleep(0.002)
    assert made == sorted(made)


def test_two_ids_of_one_moment_tell_nothing_of_each_other() -> None:
    tails = {new_id("x")[-10:] for _ in range(1000)}
    assert len(tails) == 1000
    assert {place for tail in tails for place in enumerate(tail)} >= {(9, char) for char in "0123456789abcdefghjkmnpqrstvwxyz"}
