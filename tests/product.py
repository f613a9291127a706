"""The product from outside: its own commands as processes on a private database and broker, for stories and for kills."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.servers import MissingServer, free_port

READY_S = 60
STOP_S = 15
COMMAND = str(Path(sys.executable).with_name("pilotbench"))


class Product:
    """`pilotbench serve` and `pilotbench work` over one database; each child leads a process group of its own."""

    def __init__(self, folder: Path, database_url: str, *, command: Sequence[str] = (COMMAND,), **settings: str) -> None:
        self.folder, self.command = folder, command
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PILOTBENCH_")}
        self.environment = inherited | {
            "PILOTBENCH_DATABASE_URL": database_url,
            "PILOTBENCH_DATA_DIR": str(folder),
            "PILOTBENCH_BASE_URL": self.base_url,
            **{f"PILOTBENCH_{name.upper()}": value for name, value in settings.items()},
        }
        self.children: list[subprocess.Popen[bytes]] = []

    def run(self, *words: str) -> str:
        """What a command of the product prints. Raises: CalledProcessError, with what it said."""
        done = subprocess.run(
            [*self.command, *words],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, words, done.stdout, done.stderr)
        return done.stdout.strip()

    def operator_token(self, email: str = "operator@example.com") -> str:
        """The first operator's API token."""
        return self.run("token", "create", "--email", email, "--operator")

    def start(self, *, servers: int = 1, workers: int = 1) -> None:
        """Processes that serve pages on one port, and processes that run the timers; returns when pages are served."""
        if servers:
            self._spawn("serve", "--port", str(self.port), "--workers", str(servers))
        for _ in range(workers):
            self._spawn("work")
        if servers:
            self.wait()

    def wait(self) -> None:
        """Until it answers. Raises: MissingServer with the end of its log."""
        end = time.monotonic() + READY_S
        while time.monotonic() < end and all(child.poll() is None for child in self.children):
            with (
                contextlib.suppress(urllib.error.URLError, OSError),
                urllib.request.urlopen(f"{self.base_url}/healthz", timeout=2),
            ):
                return
            time.sleep(0.05)
        raise MissingServer(f"pilotbench does not answer:\n{self.log[-2000:]}")

    @property
    def log(self) -> str:
        """What all processes have said so far."""
        return (self.folder / "product.log").read_text(errors="replace")

    def kill(self) -> None:
        """As a power cut would: every process at once, without a chance to finish."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """As an operator would."""
        self._end(signal.SIGTERM)

    def _spawn(self, *words: str) -> None:
        with (self.folder / "product.log").open("ab") as log:
            child = subprocess.Popen(
                [*self.command, *words],
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.children.append(child)

    def _end(self, kind: signal.Signals) -> None:
        for child in self.children:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, kind)
        for child in self.children:
            try:
                child.wait(STOP_S)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait(STOP_S)
        self.children.clear()


@contextlib.contextmanager
def product(folder: Path, database_url: str, *, command: Sequence[str] = (COMMAND,), **settings: str) -> Iterator[Product]:
    """A migrated product that is not started yet; whatever runs of it at the end is stopped."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Product(folder, database_url, command=command, **settings)
    made.run("migrate")
    try:
        yield made
    finally:
        made.stop()
