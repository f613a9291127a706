"""One writer at a time in the order of arrival, for a database that lets writers wait by trying again."""

import threading
from collections import deque


class Turns:
    """A lock that is handed on to whoever has waited longest, so that under steady load nobody waits forever."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self._taken = False

    def take(self, timeout_s: float) -> bool:
        """Whether it is our turn by then; who has taken one must give it back."""
        with self._guard:
            if not self._taken:
                self._taken = True
                return True
            mine = threading.Event()
            self._waiting.append(mine)
        if mine.wait(timeout_s):
            return True
        with self._guard:
            if mine.is_set():  # handed on just now
                return True
            self._waiting.remove(mine)
            return False

    def give_back(self) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._taken = False
