"""What new devices log in with, told once: into a file that nobody else may read."""

import csv
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from devices.registry.actions import Credentials
from web.transfer.files import UnreadableFile, guarded
from web.transfer.kinds import Kind

COLUMNS = ("line", "key", "device_id", "username", "secret", "topic", "host", "port")
"""The user name is the client id too."""


class SecretsFile:
    """A table of them; nothing of it stays that was not sealed."""

    def __init__(self, file: TextIO, host: str, port: int) -> None:
        self._file, self._at = file, (host, port)
        self._writer = csv.writer(file, lineterminator="\n")
        self._writer.writerow(COLUMNS)
        self._lines = 0
        self.sealed = False

    def note(self, line: int, key: str | None, device_id: str, known: Credentials) -> None:
        own = guarded(key) if key and not key.startswith("row:") else ""
        self._writer.writerow([line, own, device_id, known.login, known.secret, known.topic, *self._at])
        self._lines += 1

    def seal(self) -> None:
        """Onto the disk: to be called before the devices are kept, for nobody can tell their secrets afterwards."""
        if self._lines:
            self._file.flush()
            os.fsync(self._file.fileno())
            self.sealed = True


@contextmanager
def secrets_file(kind: str, out: Path | None, *, keeps: bool, at: tuple[str, int]) -> Iterator[SecretsFile | None]:
    """None where there will be no secrets. Raises: UnreadableFile (none was named, it is there already or cannot be)."""
    if kind != Kind.DEVICES or not keeps:
        yield None
        return
    if out is None:
        raise UnreadableFile(file=kind, reason="say with --secrets where keys and secrets go: they are told once")
    try:
        place = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        reason = "it is there already" if isinstance(error, FileExistsError) else str(error.strerror)
        raise UnreadableFile(file=str(out), reason=f"{reason}; secrets go into a new file") from error
    with os.fdopen(place, "w", encoding="utf-8", newline="") as file:
        made = SecretsFile(file, *at)
        try:
            yield made
        finally:
            if not made.sealed:
                out.unlink()
