"""What the private broker itself refused, read from its log: a foreign topic or a forged login never reaches ingest, nor does
the news that a device was put out by another client with its key. Of a will that it will not publish it tells nothing, but of
each will for which topic it is."""

import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from devices.readings import Reason
from devices.rights import key_of, may_write

LOG = "mosquitto.log"
READ_BYTES = 1 << 20
"""Of the log at one time, some 9,000 refusals."""

LOG_BYTES = 16 << 20
"""A log that was read to its end is emptied beyond this."""

FOREIGN = re.compile(r"(\S{19}): Denied PUBLISH from (.{1,80}) \(d\d, q\d, r\d, m\d+, '(.*)', \.\.\. \((\d+) bytes\)\)")
FORGED = re.compile(r"(\S{19}): Client (.*) disconnected, not authorised\.")
TAKEN_OVER = re.compile(r"(\S{19}): Client (.{1,64}) already connected, closing old connection\.")
CAME = re.compile(r"\S{19}: New client connected from (\S{1,80}):\d{1,5} as (.{1,64}) \(p\d.*")
"""The line that follows it: who took its place."""
WILL = re.compile(r"\S{19}: Will message specified \((\d+) bytes\) \(r\d, q\d\)\.")
"""The line after that, of a client with a will; the next one names its topic."""
BELOW = re.compile(r"(\S{19}): \t(.*)")
BEGINNINGS = (TAKEN_OVER, CAME, WILL)
"""Lines that mean something by what follows them."""

WILL_DENIED = "its last will: the broker does not publish it, for a device may write below its own name only"


@dataclass(frozen=True, slots=True)
class Denial:
    """One message or login that the broker turned away, or a minute in which it closed a connection for another with the same
    key or let a client in whose will it will not publish; `id` is the same whenever the same line is read."""

    id: str
    reason: Reason
    client: str
    """The device's key where the broker knew it, else empty."""
    topic: str
    size: int
    at: datetime
    detail: str = ""
    """In place of the usual words for the reason; of a client that took the place of another its address."""


@contextmanager
def unread(folder: Path) -> Iterator[list[Denial]]:
    """Refusals since the last time; they count as read when the block ends without an error. One reader at a time."""
    log = folder / LOG
    with (folder / f"{LOG}.read").open("a+") as place:
        try:
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield []
            return
        place.seek(0)
        begin = int(place.read() or 0)
        begin = begin if begin <= _size(log) else 0
        lines = _lines(log, begin)
        yield list(_denials(lines, begin))
        end = begin + sum(len(line) for line in lines)
        if end > LOG_BYTES and end == _size(log):
            os.truncate(log, 0)
            end = 0
        place.truncate(0)
        place.write(str(end))


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


def _lines(log: Path, begin: int) -> list[bytes]:
    """Whole lines only, for the last one may still be in the writing, and none whose meaning is not there yet; what has no end
    is taken as it is."""
    if not _size(log):
        return []
    with log.open("rb") as file:
        file.seek(begin)
        lines = file.read(READ_BYTES).splitlines(keepends=True)
    unfinished = lines[-1:] and not lines[-1].endswith(b"\n") and len(lines[-1]) < READ_BYTES
    lines = lines[:-1] if unfinished else lines
    kept = len(lines)
    while kept and len(lines) - kept < len(BEGINNINGS) and _begins(lines[kept - 1]):
        kept -= 1
    return lines[:kept]


def _begins(line: bytes) -> bool:
    return any(pattern.fullmatch(_text(line)) for pattern in BEGINNINGS)


def _text(line: bytes) -> str:
    return line.decode(errors="replace").rstrip("\n")


def _denials(lines: list[bytes], begin: int) -> Iterator[Denial]:
    place = begin
    texts = [*map(_text, lines), "", ""]
    for number, line in enumerate(lines):
        text, following, third = texts[number : number + 3]
        name = _name(f"{place} {text}")
        place += len(line)
        if foreign := FOREIGN.fullmatch(text):
            at, client, topic, size = foreign.groups()
            yield Denial(name, Reason.FOREIGN_TOPIC, key_of(client), topic, int(size), _moment(at))
        elif forged := FORGED.fullmatch(text):
            yield Denial(name, Reason.WRONG_LOGIN, "", "", 0, _moment(forged[1]))
        elif taken := TAKEN_OVER.fullmatch(text):
            yield _taken_over(taken[1], taken[2], CAME.fullmatch(following))
        elif came := CAME.fullmatch(text):
            yield from _will(came[2], WILL.fullmatch(following), BELOW.fullmatch(third))


def _taken_over(at: str, client: str, came: re.Match[str] | None) -> Denial:
    """Of a minute it is the same one, for two that put each other out do so all the time."""
    moment = _moment(at)
    name = _name(f"{client} {moment:%Y-%m-%dT%H:%M}")
    return Denial(name, Reason.TAKEN_OVER, key_of(client), "", 0, moment, came[1] if came and came[2] == client else "")


def _will(client: str, will: re.Match[str] | None, below: re.Match[str] | None) -> Iterator[Denial]:
    """Nothing of a client without one, or with its own; of a minute it is the same one, for who has a bad line comes again."""
    if will and below and not may_write(client, below[2]):
        at, topic = _moment(below[1]), below[2]
        name = _name(f"{client} {at:%Y-%m-%dT%H:%M} will {topic}")
        yield Denial(name, Reason.FOREIGN_TOPIC, key_of(client), topic, int(will[1]), at, WILL_DENIED)


def _name(told: str) -> str:
    return "rej_" + hashlib.sha256(told.encode()).hexdigest()[:32]


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
