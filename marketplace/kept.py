"""Secrets in files of their own: made once, by whoever needs them first."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def kept(file: Path, fresh: Callable[[], str]) -> str:
    """What `file` holds, readable by its owner only. Of two processes that find none one makes it, and both read it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    if not file.exists():
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as handle:
            handle.write(fresh())
            handle.flush()
            os.fsync(handle.fileno())
        with suppress(FileExistsError):
            os.link(draft, file)
        draft.unlink()
    return file.read_text()
