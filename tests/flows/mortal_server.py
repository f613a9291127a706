"""The application in a real server process that is ended by SIGKILL at a chosen step of its work with the database.

`python mortal_server.py` loads it once. `serve STEP` on its input forks a server, answers with its port, and lets it die right
before its STEP-th statement or commit, or right after a commit (0: never). `stop` ends it and answers with the steps it took.
"""

import mmap
import os
import signal
import socket
import struct
import sys
from typing import Any

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


def serve(app: FastAPI, listening: socket.socket) -> None:
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", access_log=False))
    server.run(sockets=[listening])


def say(answer: int) -> None:
    sys.stdout.write(f"{answer}\n")
    sys.stdout.flush()


def main() -> None:
    app, fate, child = from_environment(), Fate(), 0
    event.listen(Engine, "before_cursor_execute", fate.step)
    event.listen(Engine, "commit", fate.step)
    event.listen(Session, "after_commit", fate.step)
    for line in sys.stdin:
        word, *number = line.split()
        if word == "serve":
            fate.begin(int(number[0]))
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
            say(fate.steps)


if __name__ == "__main__":
    main()
