"""The application in a real server process that is ended by SIGKILL at a chosen step of its work with the database.

`python mortal_server.py` loads it once. `serve STEP` on its input forks a server, answers with its port, and lets it die right
before its STEP-th statement or commit, or right after a commit (0: never). `stop` ends it and answers with the steps it took.
"""

import mmap
import os
import signal
import socket
import sqlite3
import struct
import sys
from typing import Any

import psycopg
import uvicorn
from fastapi import FastAPI
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from web.app import from_environment


class Fate:
    """Counts the steps of a child where its parent can read them, and ends it at the chosen one."""

    def __init__(self) -> None:
        self.shared = mmap.mmap(-1, 8)
        self.last = 0

    @property
    def steps(self) -> int:
        return int(struct.unpack("q", self.shared[:8])[0])

    def begin(self, last: int) -> None:
        self.last = last
        self.shared[:8] = struct.pack("q", 0)

    def step(self, *_of: Any) -> None:
        taken = self.steps + 1
        self.shared[:8] = struct.pack("q", taken)
        if taken == self.last:
            os.kill(os.getpid(), signal.SIGKILL)


FATE = Fate()


class LiteCursor(sqlite3.Cursor):
    def execute(self, *words: Any) -> sqlite3.Cursor:
        FATE.step()
        return super().execute(*words)

    def executemany(self, *words: Any) -> sqlite3.Cursor:
        FATE.step()
        return super().executemany(*words)


class LiteConnection(sqlite3.Connection):
    def cursor(self, *_factory: Any) -> LiteCursor:
        return super().cursor(LiteCursor)

    def commit(self) -> None:
        """Several sessions may share it, so that none of them tells of its end."""
        super().commit()
        FATE.step()


class PostgresCursor(psycopg.Cursor[Any]):
    def execute(self, *words: Any, **more: Any) -> "PostgresCursor":
        FATE.step()
        return super().execute(*words, **more)

    def executemany(self, *words: Any, **more: Any) -> None:
        FATE.step()
        super().executemany(*words, **more)


class PostgresRawCursor(psycopg.RawCursor[Any]):
    def execute(self, *words: Any, **more: Any) -> "PostgresRawCursor":
        FATE.step()
        return super().execute(*words, **more)

    def executemany(self, *words: Any, **more: Any) -> None:
        FATE.step()
        super().executemany(*words, **more)


def counted(dialect: Any, _record: object, _words: object, named: dict[str, Any]) -> None:
    """Every statement of the new connection goes through one of these cursors, whoever hands it to the driver."""
    if dialect.name == "sqlite":
        named["factory"] = LiteConnection
    else:
        named["cursor_factory"] = PostgresCursor


def serve(app: FastAPI, listening: socket.socket) -> None:
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", access_log=False))
    server.run(sockets=[listening])


def say(answer: int) -> None:
    sys.stdout.write(f"{answer}\n")
    sys.stdout.flush()


def main() -> None:
    event.listen(Engine, "do_connect", counted)
    psycopg.RawCursor = PostgresRawCursor  # type: ignore[misc]
    app, child = from_environment(), 0
    event.listen(Engine, "commit", FATE.step)
    event.listen(Session, "after_commit", FATE.step)
    for line in sys.stdin:
        word, *number = line.split()
        if word == "serve":
            FATE.begin(int(number[0]))
            listening = socket.create_server(("127.0.0.1", 0), backlog=64)
            child = os.fork()
            if not child:
                serve(app, listening)
                os._exit(0)
            say(listening.getsockname()[1])
            listening.close()
        else:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            say(FATE.steps)


if __name__ == "__main__":
    main()
