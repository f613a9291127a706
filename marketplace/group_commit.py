"""Several transactions of one process in one commit, carried out by one thread: for a database that has a single writer anyway.

On SQLite the flush to disk costs a third of a booking, and passing the one write lock from thread to thread another third.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from marketplace.prepared import Appending
from marketplace.refusals import Busy

MOST = 16
"""Transactions in one commit: the first of them waits for the last."""
_T = TypeVar("_T")


@dataclass(slots=True)
class _Task(Generic[_T]):
    work: Callable[[Session], _T]
    answer: Future[_T]
    found: Any = None
    error: Exception | None = None

    def carry_out(self, connection: Connection) -> None:
        """Between savepoints: what fails leaves nothing, what `work` commits is kept with the rest."""
        try:
            with Appending(connection, join_transaction_mode="create_savepoint", expire_on_commit=False) as session:
                self._go_on(session)
        except SQLAlchemyError as error:  # there is no savepoint to go back to
            self.error = self.error or error

    def _go_on(self, session: Session) -> None:
        """What it raises is raised again where the answer is waited for."""
        try:
            self.found = self.work(session)
        except Exception as error:
            self.error = error

    def tell(self) -> None:
        if self.error:
            self.answer.set_exception(self.error)
        else:
            self.answer.set_result(self.found)


class GroupCommit:
    """The writer of one process. Its thread starts with the first task and ends with `close`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: SimpleQueue[_Task[Any] | None] = SimpleQueue()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def submit(self, work: Callable[[Session], _T]) -> Future[_T]:
        """Let `work` go on in a session of its own and commit it; the answer comes when the disk has what was committed.

        Its errors come as its answer; Busy or sqlalchemy's OperationalError where the database took back the whole group.
        """
        task = _Task(work, Future())
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="group commit", daemon=True)
                self._thread.start()
        self._waiting.put(task)
        return task.answer

    def close(self) -> None:
        """Carry out what waits, then end the thread."""
        with self._starting:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._waiting.put(None)
            thread.join()

    def _serve(self) -> None:
        while (task := self._waiting.get()) is not None:
            if task.answer.set_running_or_notify_cancel():
                self._carry_out(task)

    def _carry_out(self, first: _Task[Any]) -> None:
        begun = [first]
        try:
            with self._engine.connect() as connection, connection.begin():
                for task in self._group(begun):
                    task.carry_out(connection)
                    _check_whole(connection, task.error)
        except Exception as error:
            for task in begun:
                task.error = error
        for task in begun:
            task.tell()

    def _group(self, begun: list[_Task[Any]]) -> Iterator[_Task[Any]]:
        """The first and those that wait by then, a few at most."""
        yield begun[0]
        while len(begun) < MOST:
            try:
                task = self._waiting.get_nowait()
            except Empty:
                return
            if task is None:
                self._waiting.put(None)  # the thread's loop is to see it
                return
            if task.answer.set_running_or_notify_cancel():
                begun.append(task)
                yield task


def _check_whole(connection: Connection, error: Exception | None) -> None:
    """SQLite ends the whole transaction on errors such as a full disk: what was told to be kept is gone.

    Raises: the `error` that it was, Busy where there was none.
    """
    if not connection.connection.driver_connection.in_transaction:  # type: ignore[union-attr]
        raise error or Busy
