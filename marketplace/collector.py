"""Python's search for cycles of objects: where hundreds of thousands are made that form none, it costs as much as the work."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock


class Collector:
    """Of the process; several threads may want it to rest at once."""

    def __init__(self) -> None:
        self._lock, self._resting = Lock(), 0

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """No thread is searched meanwhile; what forms no cycle is freed as ever. For work that ends in seconds."""
        self._rest(1)
        try:
            yield
        finally:
            self._rest(-1)

    def _rest(self, more: int) -> None:
        with self._lock:
            self._resting += more
            (gc.disable if self._resting else gc.enable)()


COLLECTOR = Collector()
