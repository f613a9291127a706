"""Ids: opaque, unique, in the order they were made."""

import re
import time
from concurrent.futures import ThreadPoolExecutor

from marketplace.ids import new_id


def test_an_id_tells_its_kind_and_is_safe_anywhere() -> None:
    assert re.fullmatch(r"res_[0-9a-hjkmnp-tv-z]{20}", new_id("res"))


def test_many_ids_of_one_moment_differ() -> None:
    assert len({new_id("x") for _ in range(20_000)}) == 20_000


def test_ids_sort_by_the_order_they_were_made_in() -> None:
    made = [new_id("x") for _ in range(2_000)]
    time.sleep(0.002)
    made += [new_id("x") for _ in range(2_000)]
    assert made == sorted(made)


def test_threads_that_make_ids_at_once_never_share_one() -> None:
    with ThreadPoolExecutor(8) as pool:
        made = [one for each in pool.map(lambda _: [new_id("x") for _ in range(2_000)], range(8)) for one in each]
    assert len(set(made)) == 16_000


def test_two_ids_of_one_moment_tell_nothing_of_each_other() -> None:
    tails = {new_id("x")[-10:] for _ in range(1000)}
    assert len(tails) == 1000
    assert {place for tail in tails for place in enumerate(tail)} >= {(9, char) for char in "0123456789abcdefghjkmnpqrstvwxyz"}
