"""What a backup's folder holds, with a digest of each file, so that a damaged or half copied one is never restored."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from devices.archive.files import digest_of
from marketplace.refusals import Refusal

NAME = "manifest.json"
PIECE = 1 << 20


class BadBackup(Refusal):
    """The folder is no whole backup, or the target cannot take it. `folder`, `reason`."""

    code = "backup_unusable"


@dataclass(frozen=True, slots=True)
class Manifest:
    """`rows` counts each table's; `files` gives each file's digest (SHA-256)."""

    database: str
    revision: str
    made_at: str
    rows: Mapping[str, int]
    files: Mapping[str, str]

    def write(self, folder: Path) -> None:
        (folder / NAME).write_text(json.dumps(asdict(self), indent=2))


def read(folder: Path) -> Manifest:
    """The manifest of a folder whose every file is as it was written. Raises: BadBackup."""
    try:
        found = Manifest(**_document(folder))
        named = {name: str(digest) for name, digest in found.files.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise BadBackup(folder=str(folder), reason="it has no manifest of a backup") from error
    for name, digest in named.items():
        file = folder / Path(name).name
        if not file.is_file() or digest_of(file) != digest:
            raise BadBackup(folder=str(folder), reason=f"{name} is missing or damaged")
    return found


def _document(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / NAME).read_text())
    return found
