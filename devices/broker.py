"""A private Mosquitto: its files, its start and stop, and who may connect.

Nothing here is a network call or a row: the caller hands in keys and hashes, the files are written whole, and a running
broker is told by SIGHUP to read them again. Production may point at any other broker with the same rules.
"""

import base64
import contextlib
import hashlib
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from devices.denials import LOG
from devices.registry.actions import broker_hash
from devices.rights import INGEST, KEEPER, OUR_RIGHTS, TELLER, mosquitto_rules
from marketplace.refusals import Refusal

NAME = re.compile(r"^[A-Za-z0-9_-]{1,64}(\.2)?$")
"""A key or a second name. No `+`, `#` or `/`: such a name would become a pattern in the topic ACL."""

HASH = re.compile(r"^\$7\$\d{1,7}\$[A-Za-z0-9+/=]{8,64}\$[A-Za-z0-9+/=]{16,128}$")
QUEUED_MESSAGES = 500_000
"""About eight hours of 1,000 devices at a message a minute, some 200 MB; the broker's own 1,000 lose a burst."""

MESSAGE_BYTES = 64 * 1024
"""Above our own 16 KiB, so that what is too large still reaches us and is counted; below what could fill memory."""

CONNECTIONS = 20_000
LOOPBACK, EVERYWHERE = "127.0.0.1", {"0.0.0.0", "::"}
AUTHORITY, CERTIFICATE, KEY, REVOCATIONS = "ca.crt", "server.crt", "server.key", "crl.pem"
STORE = "mosquitto.db"
START_S = 10.0
STOP_S = 10.0

ROUTINE = ("--text", "--line-buffered", "--invert-match", "--extended-regexp", "^[^ ]+: (Received|Sending) ")
"""What grep leaves out of the log: a line for each packet."""


class BrokerUnavailable(Refusal):
    """The private broker cannot run; `reason` says what is missing and the remedy."""

    code = "broker_unavailable"


@dataclass(frozen=True, slots=True)
class Secured:
    """Where the broker listens over TLS, 0 for nowhere: for names with their secrets, and for certificates of our authority."""

    port: int
    certificate_port: int
    authority: str
    """The authority's certificate; this and the following are PEM."""
    certificate: str
    key: str
    revocations: str


@dataclass(frozen=True)
class RunningBroker:
    """A Mosquitto that we started as a child process."""

    folder: Path
    port: int
    ingest_password: str
    process: subprocess.Popen[bytes]
    log_filter: subprocess.Popen[bytes]
    host: str = LOOPBACK
    revocations: str = ""
    """The list that it has read."""
    keeper_password: str = ""

    @property
    def url(self) -> str:
        """As PILOTBENCH_MQTT_URL names it, with the account that reads every topic."""
        return f"mqtt://{INGEST}:{quote(self.ingest_password)}@{self.host}:{self.port}"

    @property
    def keeper_url(self) -> str:
        """With the account that hears what passes; the one that tells again has the same password."""
        return f"mqtt://{KEEPER}:{quote(self.keeper_password)}@{self.host}:{self.port}"

    @property
    def saved_at(self) -> float:
        """When it last wrote its store, 0 for never: what it took after that is not in it."""
        store = self.folder / STORE
        return store.stat().st_mtime if store.exists() else 0.0

    def stop(self) -> None:
        """Ask it to save and end; harder when it does not."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(STOP_S)
        self.log_filter.wait(STOP_S)
        (self.folder / "pid").unlink(missing_ok=True)


def start_broker(
    folder: Path,
    *,
    host: str = LOOPBACK,
    port: int = 0,
    credentials: Iterable[tuple[str, str]] = (),
    ingest_password: str = "",
    secured: Secured | None = None,
) -> RunningBroker:
    """Start Mosquitto with its files in `folder`, port 0 for a free one, and wait until it listens.

    The passwords of our own accounts, where none is given, are kept in `folder` for the next start. Raises: BrokerUnavailable.
    """
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        raise BrokerUnavailable(reason="Mosquitto is not installed: apt-get install mosquitto")
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    end_leftover(folder)
    port = port or free_port()
    password, keeper_password = ingest_password or _own_password(folder, INGEST), _own_password(folder, KEEPER)
    user = _run_as(folder)
    known = list(credentials)
    write_credentials(folder, known, ingest_password=password, keeper_password=keeper_password)
    write_rights(folder, known)
    if secured:
        _write_certificates(folder, secured)
    _write(folder / "mosquitto.conf", configuration(folder, port, user, host=host, secured=secured))
    _hand_over(folder, user)
    process, log_filter = _spawn([program, "-c", str(folder / "mosquitto.conf")], folder)
    _write(folder / "pid", str(process.pid))
    reached = LOOPBACK if host in EVERYWHERE else host
    revocations = secured.revocations if secured else ""
    running = RunningBroker(folder, port, password, process, log_filter, reached, revocations, keeper_password=keeper_password)
    _wait_until_listening(running)
    return running


def configuration(folder: Path, port: int, user: str, *, host: str = LOOPBACK, secured: Secured | None = None) -> str:
    """Mosquitto's configuration: loses no acknowledged message, and a device writes below its own name only."""
    return "\n".join(
        [
            f"listener {port} {host}",
            *(_listeners(folder, host, secured) if secured else []),
            f"user {user}",
            "allow_anonymous false",
            "use_username_as_clientid true",
            f"password_file {folder / 'passwords'}",
            f"acl_file {folder / 'acl'}",
            "persistence true",
            f"persistence_location {folder}/",
            "autosave_on_changes true",
            "autosave_interval 1",
            "max_inflight_messages 0",
            f"max_queued_messages {QUEUED_MESSAGES}",
            "max_queued_bytes 0",
            f"message_size_limit {MESSAGE_BYTES}",
            f"max_connections {CONNECTIONS}",
            "persistent_client_expiration 7d",
            "log_dest stderr",
            *(f"log_type {kind}" for kind in ("error", "warning", "notice", "debug")),
            "log_timestamp_format %Y-%m-%dT%H:%M:%S",
            "",
        ]
    )


def _listeners(folder: Path, host: str, secured: Secured) -> list[str]:
    """Over TLS: one that asks for name and secret, one that takes the name from the certificate."""
    ours = [f"certfile {folder / CERTIFICATE}", f"keyfile {folder / KEY}"]
    named = [f"listener {secured.port} {host}", *ours] if secured.port else []
    if not secured.certificate_port:
        return named
    asked = [f"cafile {folder / AUTHORITY}", f"crlfile {folder / REVOCATIONS}"]
    by_certificate = [*ours, *asked, "require_certificate true", "use_identity_as_username true"]
    return [*named, f"listener {secured.certificate_port} {host}", *by_certificate]


def _write_certificates(folder: Path, secured: Secured) -> None:
    _write(folder / AUTHORITY, secured.authority)
    _write(folder / CERTIFICATE, secured.certificate)
    _write(folder / KEY, secured.key)
    write_revocations(folder, secured.revocations)


def write_revocations(folder: Path, revocations: str) -> None:
    """The list of certificates that no longer count, for the next start: told by a signal Mosquitto keeps who is connected, and
    lets in whoever resumes a session of TLS from before."""
    _write(folder / REVOCATIONS, revocations)


def read_revocations(folder: Path) -> str:
    """Empty where there is none."""
    file = folder / REVOCATIONS
    return file.read_text() if file.exists() else ""


def write_credentials(
    folder: Path,
    credentials: Iterable[tuple[str, str]],
    *,
    ingest_password: str | None = None,
    keeper_password: str | None = None,
) -> bool:
    """Write the password file from (login name, `$7$` hash) pairs; says whether it changed, so that a reload is due.

    The lines of our own accounts stay unless a password for them is given. Raises: BrokerUnavailable for a bad name or hash.
    """
    file = folder / "passwords"
    before = file.read_text() if file.exists() else ""
    passwords = {INGEST: ingest_password, KEEPER: keeper_password, TELLER: keeper_password}
    ours = [_own_line(before, name, password) for name, password in passwords.items()]
    lines = [line for line in ours if line]
    for key, hashed in sorted(credentials):
        if not NAME.match(key) or key in OUR_RIGHTS or not HASH.match(hashed):
            raise BrokerUnavailable(reason=f"device {key[:64]!r} has a name or hash that a password file cannot hold")
        lines.append(f"{key}:{hashed}")
    text = "\n".join(lines) + "\n"
    if text == before:
        return False
    _write(file, text)
    return True


def write_rights(folder: Path, credentials: Iterable[tuple[str, str]]) -> bool:
    """Write what each may do; says whether it changed, so that a reload is due."""
    file, text = folder / "acl", mosquitto_rules(name for name, _ in credentials)
    if file.exists() and file.read_text() == text:
        return False
    _write(file, text)
    return True


def reload_broker(folder: Path) -> bool:
    """Have the broker of `folder` read passwords and ACL again and drop whom they no longer let in; False if none runs."""
    pid = _pid(folder)
    if pid is None:
        return False
    os.kill(pid, signal.SIGHUP)
    return True


def provision(folder: Path, credentials: Iterable[tuple[str, str]]) -> bool:
    """Bring the broker of `folder` up to date with who may connect; True if anything changed. Cheap when nothing did."""
    known = list(credentials)
    changed = [write_credentials(folder, known), write_rights(folder, known)]
    return any(changed) and reload_broker(folder)


def free_port() -> int:
    """A loopback port nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _spawn(command: list[str], folder: Path) -> tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]:
    """The broker, and the filter its log goes through: refused topics are told at Mosquitto's most talkative level only.

    Both in sessions of their own: Ctrl+C must not end the broker before its clients. The filter ends with the broker.
    """
    reads, writes = os.pipe()
    try:
        with (folder / LOG).open("ab") as log:
            log_filter = subprocess.Popen(["grep", *ROUTINE], stdin=reads, stdout=log, cwd=folder, start_new_session=True)
        broker = subprocess.Popen(
            ["env", "TZ=UTC", *command],
            stdin=subprocess.DEVNULL,
            stdout=writes,
            stderr=writes,
            cwd=folder,
            start_new_session=True,
        )
    finally:
        os.close(reads)
        os.close(writes)
    return broker, log_filter


def _own_password(folder: Path, name: str) -> str:
    file = folder / f"{name}-password"
    if not file.exists():
        _write(file, secrets.token_urlsafe(24))
    return file.read_text().strip()


def _own_line(before: str, name: str, password: str | None) -> str:
    """The line of an account of ours; kept where the password is the same, for a new salt would look like a change."""
    line = next((line for line in before.splitlines() if line.startswith(f"{name}:")), "")
    if password is None or (line and matches(line.partition(":")[2], password)):
        return line
    return f"{name}:{broker_hash(password)}"


def matches(hashed: str, secret: str) -> bool:
    """Whether `hashed`, in the broker's `$7$` format, is that of `secret`."""
    _, _, iterations, salt, found = hashed.split("$")
    derived = hashlib.pbkdf2_hmac("sha512", secret.encode(), base64.b64decode(salt), int(iterations))
    return secrets.compare_digest(base64.b64decode(found), derived)


def _write(file: Path, text: str) -> None:
    """Whole or not at all, readable by nobody else, owned like its folder."""
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    draft.touch(mode=0o600)
    draft.write_text(text)
    owner = file.parent.stat()
    if os.geteuid() == 0:
        os.chown(draft, owner.st_uid, owner.st_gid)
    draft.replace(file)


def _run_as(folder: Path) -> str:
    """The user Mosquitto runs as: its own where we are root and that user can reach the folder, else ours."""
    ours = pwd.getpwuid(os.geteuid()).pw_name
    if os.geteuid() != 0:
        return ours
    reachable = all(parent.stat().st_mode & 0o001 for parent in folder.parents)
    with contextlib.suppress(KeyError):
        return pwd.getpwnam("mosquitto").pw_name if reachable else ours
    return ours


def _hand_over(folder: Path, user: str) -> None:
    """Give the folder and what is in it to the broker's user."""
    folder.chmod(0o700)
    if os.geteuid() == 0:
        owner = pwd.getpwnam(user)
        for path in (folder, *folder.iterdir()):
            os.chown(path, owner.pw_uid, owner.pw_gid)


def _pid(folder: Path) -> int | None:
    """The process id of the folder's broker if it still runs and still is a Mosquitto."""
    file = folder / "pid"
    if not file.exists():
        return None
    pid = int(file.read_text())
    name = Path(f"/proc/{pid}/comm")
    return pid if name.exists() and name.read_text().strip() == "mosquitto" else None


def end_leftover(folder: Path) -> None:
    """Two brokers must not share one store: end the one that a killed process left behind."""
    pid = _pid(folder)
    if pid is None or str(folder) not in Path(f"/proc/{pid}/cmdline").read_text():
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_S
    while _pid(folder) == pid and time.monotonic() < deadline:
        time.sleep(0.05)


def _wait_until_listening(running: RunningBroker) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and running.process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((running.host, running.port), 1):
            return
        time.sleep(0.01)
    running.stop()
    said = (running.folder / LOG).read_text(errors="replace").strip()[-300:]
    raise BrokerUnavailable(reason=f"Mosquitto does not listen on port {running.port}: {said or 'see ' + str(running.folder)}")
