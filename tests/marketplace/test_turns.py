"""Writers of SQLite in one process come one after the other, in the order in which they asked."""

import threading
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from marketplace.db import open_engine
from marketplace.turns import Turns
from tests.devices.plugs import eventually

WRITERS, EACH = 6, 40


def test_turns_are_handed_on_in_the_order_of_asking() -> None:
    turns, order = Turns(), list[int]()

    def wait(number: int) -> None:
        assert turns.take(10)
        order.append(number)
        turns.give_back()

    assert turns.take(0)
    threads = []
    for number in range(5):
        threads.append(threading.Thread(target=wait, args=(number,)))
        threads[-1].start()
        eventually(lambda least=number: len(turns._waiting) > least)
    turns.give_back()
    for thread in threads:
        thread.join(10)
    assert order == [0, 1, 2, 3, 4]


def test_who_gave_up_waiting_is_passed_over() -> None:
    turns = Turns()
    assert turns.take(0)
    assert not turns.take(0.01)
    turns.give_back()
    assert turns.take(0)


def test_nobody_is_overtaken_twice_among_steady_writers_and_a_failed_one_lets_the_next_in(tmp_path: Path) -> None:
    """By SQLite's own way of waiting some wait for seconds while others write again and again."""
    engine = open_engine(f"sqlite:///{tmp_path}/turns.db")
    overtaken: list[int] = []
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE steps (number INTEGER PRIMARY KEY)"))

    def write(first: int) -> None:
        for number in range(first, EACH * WRITERS, WRITERS):
            before = len(overtaken)
            with engine.begin() as connection:
                overtaken.append(len(overtaken) - before)
                connection.execute(text("INSERT INTO steps VALUES (:number)"), {"number": number})
            with pytest.raises(IntegrityError), engine.begin() as connection:
                connection.execute(text("INSERT INTO steps VALUES (:number)"), {"number": number})

    threads = [threading.Thread(target=write, args=(first,)) for first in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with engine.begin() as connection:
        assert connection.scalar(text("SELECT count(*) FROM steps")) == EACH * WRITERS
    assert max(overtaken) <= WRITERS
    engine.dispose()
