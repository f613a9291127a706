"""The archive's folder: Parquet files, one for a day (UTC) of several devices, written whole or not at all.

Rows lie in the order of their leaves, a row group holds one device: so a day of one device is read alone
and proves its root.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from devices.readings import Envelope
from marketplace.refusals import Refusal

ARCHIVED = ".parquet"
FORMAT = "pilotbench-archive/1"
SCHEMA = pa.schema(
    [
        pa.field("device_id", pa.string(), nullable=False),
        pa.field("number", pa.int32(), nullable=False),
        pa.field("received_at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("topic", pa.string(), nullable=False),
        pa.field("payload", pa.binary(), nullable=False),
        pa.field("retain", pa.bool_(), nullable=False),
        pa.field("backlog", pa.bool_(), nullable=False),
    ]
)
"""`number` is that of the sealed record which a message belongs to."""
GROUP_ROWS = 65_536
"""Of a row group at most; a device that said more has several, one behind the other."""
ZSTD_LEVEL = 6
PIECE = 1 << 20
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
Numbered = tuple[int, Envelope]


class ArchiveUnreadable(Refusal):
    """A file of the archive that is not here, or is not what was written. `file`, `reason`."""

    code = "archive_unreadable"


@dataclass(frozen=True, slots=True)
class Whole:
    """A file that lies in the archive for good."""

    name: str
    day: date
    messages: dict[str, int]
    """By device."""
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Archive:
    """A folder. It belongs to one database; whoever writes into it holds its lock."""

    folder: Path

    @contextmanager
    def held(self) -> Iterator[bool]:
        """Whether nobody else writes into it; a process that ends, however it does, lets go."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
            else:
                yield True

    def path(self, name: str) -> Path:
        return self.folder / Path(name).name

    def holds(self, name: str, size: int) -> bool:
        file = self.path(name)
        return file.is_file() and file.stat().st_size == size

    def take_in(self, source: Path) -> None:
        """A copy of a file of an archive, whole or not at all; one that is here already stays. Raises: OSError."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.path(source.name).exists():
            return
        draft = self.folder / "taken-in"
        with source.open("rb") as read, draft.open("wb") as write:
            while piece := read.read(PIECE):
                write.write(piece)
            write.flush()
            os.fsync(write.fileno())
        self._keep(draft, source.name)

    def _keep(self, draft: Path, name: str) -> None:
        draft.rename(self.path(name))
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def archive_in(data_dir: Path) -> Archive:
    return Archive(data_dir / "archive")


class Draft:
    """A file that is being written. Until `finish` it has no name of its own, and the next draft takes its place."""

    def __init__(self, archive: Archive, day: date) -> None:
        self._archive, self._day = archive, day
        self._path = archive.folder / "draft"
        schema = SCHEMA.with_metadata({"format": FORMAT, "day": day.isoformat()})
        self._writer = pq.ParquetWriter(
            self._path,
            schema,
            compression="zstd",
            compression_level=ZSTD_LEVEL,
            use_dictionary=["device_id", "topic"],
            write_statistics=["device_id", "received_at"],
            write_page_checksum=True,
        )
        self.messages: dict[str, int] = {}

    def add(self, device_id: str, said: Sequence[Numbered]) -> None:
        """All of a device's day, in the order of the leaves; each device once."""
        envelopes = [one for _, one in said]
        columns = [
            pa.array([device_id] * len(said), pa.string()),
            pa.array([number for number, _ in said], pa.int32()),
            pa.array([(one.received_at - EPOCH) // MICROSECOND for one in envelopes], pa.int64()).cast(SCHEMA.types[2]),
            pa.array([one.topic for one in envelopes], pa.string()),
            pa.array([one.payload for one in envelopes], pa.binary()),
            pa.array([one.retain for one in envelopes], pa.bool_()),
            pa.array([one.backlog for one in envelopes], pa.bool_()),
        ]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._writer.schema), row_group_size=GROUP_ROWS)
        self.messages[device_id] = len(said)

    def finish(self) -> Whole:
        """On disk under its name, which ends with the beginning of its digest. Raises: OSError."""
        self._writer.close()
        with self._path.open("rb") as written:
            os.fsync(written.fileno())
        digest = digest_of(self._path)
        name = f"{self._day}-{digest[:16]}{ARCHIVED}"
        whole = Whole(name, self._day, self.messages, self._path.stat().st_size, digest)
        self._archive._keep(self._path, name)
        return whole

    def close(self) -> None:
        """Given up, unless it is finished."""
        self._writer.close()


class Opened:
    """A file of the archive, open for reading. Raises, whatever is asked: ArchiveUnreadable."""

    def __init__(self, archive: Archive, name: str) -> None:
        self._name = name
        try:
            self._file = pq.ParquetFile(archive.path(name), page_checksum_verification=True)
            if (self._file.schema_arrow.metadata or {}).get(b"format") != FORMAT.encode():
                raise ArchiveUnreadable(file=name, reason="is not in the format of the archive")
            self._groups: dict[str, list[int]] = {}
            for index in range(self._file.metadata.num_row_groups):
                device_id = self._file.metadata.row_group(index).column(0).statistics.min
                self._groups.setdefault(str(device_id), []).append(index)
        except FileNotFoundError as error:
            raise ArchiveUnreadable(file=name, reason="is missing") from error
        except (OSError, pa.ArrowException, AttributeError) as error:
            raise ArchiveUnreadable(file=name, reason=f"cannot be read ({error})") from error

    @property
    def device_ids(self) -> Sequence[str]:
        return list(self._groups)

    def said(self, device_id: str) -> list[Numbered]:
        """A device's messages in the order of the leaves; none where it is not in the file."""
        if not (groups := self._groups.get(device_id)):
            return []
        try:
            found = self._file.read_row_groups(groups, use_threads=False)
        except (OSError, pa.ArrowException) as error:
            raise ArchiveUnreadable(file=self._name, reason=f"cannot be read ({error})") from error
        if set(found.column("device_id").to_pylist()) != {device_id}:
            raise ArchiveUnreadable(file=self._name, reason="has rows of several devices in one group")
        return list(_rows(found))

    def close(self) -> None:
        self._file.close()


def _rows(found: Any) -> Iterator[Numbered]:
    columns = [found.column(name).to_pylist() for name in ("number", "topic", "payload", "retain", "backlog")]
    instants = found.column("received_at").cast(pa.int64()).to_pylist()
    for number, topic, payload, retain, backlog, told in zip(*columns, instants, strict=True):
        yield number, Envelope(topic, payload, EPOCH + told * MICROSECOND, retain, backlog)


def digest_of(file: Path) -> str:
    """SHA-256, hexadecimal. Raises: OSError."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
