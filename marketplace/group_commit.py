"""Several transactions of one process in one commit, carried out by one thread: for a database that has a single writer anyway.

On SQLite the flush to disk costs a third of a booking, and passing the one write lock from thread to thread another third.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Engine, Transaction
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from marketplace.db import BUSY_TIMEOUT_S
from marketplace.prepared import Appending
from marketplace.refusals import Busy

MOST = 16
"""Transactions in one commit: the first of them waits for the last."""
_T = TypeVar("_T")


@dataclass(slots=True)
class _Task(Generic[_T]):
    work: Callable[[Session], _T]
    answer: Future[_T]
    until: float
    """By `monotonic`: later nobody expects it any more."""
    found: Any = None
    error: BaseException | None = None

    def lost(self, session: Session) -> BaseException | None:
        """Carry it out between savepoints: what fails leaves nothing, what `work` commits is kept with the rest.

        What the whole transaction was lost by, None where it stands. SQLite ends it on errors such as a full disk. Should
        something have begun another one meanwhile, the savepoint around the group is not there when it is to end.
        """
        self._go_on(session)
        try:
            session.close()
        except SQLAlchemyError as error:  # there is no savepoint to go back to
            return self.error or error
        if not session.get_bind().connection.driver_connection.in_transaction:  # type: ignore[union-attr]
            return self.error or Busy()
        return None

    def _go_on(self, session: Session) -> None:
        """What it raises is raised again where the answer is waited for: nothing may end the thread that others wait for."""
        try:
            self.found = self.work(session)
        except BaseException as error:
            self.error = error

    def tell(self) -> None:
        if self.error is None:
            self.answer.set_result(self.found)
        elif isinstance(self.error, Exception) and not isinstance(self.error, (StopIteration, CancelledError)):
            self.answer.set_exception(self.error)
        else:  # these mean something else to whoever waits
            self.answer.set_exception(Failed(repr(self.error)))


class Failed(RuntimeError):
    """A task ended in a way that cannot be raised again as it was."""


class GroupCommit:
    """The writer of one process. Its thread starts with the first task and ends with `close`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: SimpleQueue[_Task[Any] | None] = SimpleQueue()
        self._door = threading.Lock()
        self._thread: threading.Thread | None = None

    def submit(self, work: Callable[[Session], _T]) -> Future[_T]:
        """Let `work` go on in a session that is fresh and commit it; the answer comes when the disk has what was committed.

        Its errors come as its answer; Busy where its turn did not come within BUSY_TIMEOUT_S, sqlalchemy's OperationalError
        where the database let nobody write or took back the whole group.
        """
        task = _Task(work, Future(), monotonic() + BUSY_TIMEOUT_S)
        with self._door:
            if self._thread is None or not self._thread.is_alive():
                thread = threading.Thread(target=self._serve, name="group commit", daemon=True)
                thread.start()
                self._thread = thread
            self._waiting.put(task)
        return task.answer

    def close(self) -> None:
        """Carry out what waits, then end the thread."""
        with self._door:
            thread, self._thread = self._thread, None
            if thread is not None:
                self._waiting.put(None)
        if thread is not None:
            thread.join()

    def _serve(self) -> None:
        while (task := self._waiting.get()) is not None:
            if self._is_wanted(task):
                self._carry_out(task)

    def _is_wanted(self, task: _Task[Any]) -> bool:
        """Whether somebody still waits for it; who waits for too long hears so."""
        if not task.answer.set_running_or_notify_cancel():
            return False
        if monotonic() > task.until:
            task.answer.set_exception(Busy())
            return False
        return True

    def _carry_out(self, first: _Task[Any]) -> None:
        begun = [first]
        cause: BaseException | None = None
        try:
            with self._engine.connect() as connection, self._begun(connection, begun), connection.begin_nested():
                session = Appending(connection, join_transaction_mode="create_savepoint", expire_on_commit=False)
                for task in self._group(begun):
                    cause = task.lost(session)
                    if cause is not None:
                        raise cause
        except BaseException as error:
            for task in begun:
                task.error = cause or error
        for task in begun:
            task.tell()

    def _begun(self, connection: Connection, begun: list[_Task[Any]]) -> Transaction:
        """Where the database lets nobody write, all who wait by then hear it with the first. Raises: OperationalError."""
        try:
            return connection.begin()
        except SQLAlchemyError:
            begun += [task for task in self._rest() if self._is_wanted(task)]
            raise

    def _group(self, begun: list[_Task[Any]]) -> Iterator[_Task[Any]]:
        """The first and those that wait by then, a few at most."""
        yield begun[0]
        for task in self._rest():
            if self._is_wanted(task):
                begun.append(task)
                yield task
            if len(begun) == MOST:
                return

    def _rest(self) -> Iterator[_Task[Any]]:
        while True:
            try:
                task = self._waiting.get_nowait()
            except Empty:
                return
            if task is None:
                self._waiting.put(None)  # the thread's loop is to see it
                return
            yield task
