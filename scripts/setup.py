"""Install what the demo or the tests need, on a Debian 12 that has python3, pip and make; quick when nothing changed.

    python3 scripts/setup.py demo     the product: Mosquitto, a virtual environment, the assets
    python3 scripts/setup.py test     the same, with PostgreSQL, Chromium, fonts and the tools for tests

Standard library only, and in a grammar that older Pythons can read, so that they can be told they are too old.
"""

import hashlib
import importlib.util
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
OLDEST = (3, 11)
TICK_S = 15  # how often a long step says that it is still at work
TAIL_LINES = 25
LOCK_S = 120  # how long to wait for another apt-get
FREE_MB = {"demo": 1200, "test": 2500}
DENY = "/usr/sbin/policy-rc.d"
DENY_SAVED = DENY + ".before-pilotbench"
DENY_MARK = "# written by the set-up of Pilotbench: installs without starting services\n"
STAMPED = (
    "pyproject.toml",
    "constraints.txt",
    "package.json",
    "package-lock.json",
    "hatch_build.py",
    "scripts/setup.py",
    "web/*.mjs",
    "web/*.txt",
    "web/assets/**/*",
    "web/templates/**/*",
    "web/locale/**/*.po",
)


class Stuck(Exception):
    """Set-up cannot go on: what is missing, and what mends it."""

    def __init__(self, missing, remedy):
        super().__init__(missing)
        self.remedy = remedy


# What is needed: Debian's package, how to see that it is there, the service it would start, who needs it.


def has_program(name):
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin") is not None


def has_library(name):
    return any(Path("/usr/lib").glob(f"*/{name}.so.*"))


NEEDS = [
    ("python3-venv", lambda: importlib.util.find_spec("ensurepip") is not None, None, ("demo", "test")),
    ("libatomic1", lambda: has_library("libatomic"), None, ("demo", "test")),  # Node, for the assets
    ("mosquitto", lambda: has_program("mosquitto"), "mosquitto", ("demo", "test")),
    ("libpangoft2-1.0-0", lambda: has_library("libpangoft2-1.0"), None, ("demo", "test")),  # lays out PDFs, with the next
    ("libharfbuzz-subset0", lambda: has_library("libharfbuzz-subset"), None, ("demo", "test")),
    ("mosquitto-clients", lambda: has_program("mosquitto_pub"), None, ("test",)),
    ("postgresql", lambda: any(Path("/usr/lib/postgresql").glob("*/bin/initdb")), "postgresql", ("test",)),
    ("chromium", lambda: Path("/usr/bin/chromium").exists(), None, ("test",)),
    ("fonts-noto-cjk", lambda: any(Path("/usr/share/fonts").glob("**/NotoSansCJK*")), None, ("demo", "test")),
]


def say(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def missing_packages(kind):
    return [(package, service) for package, there, service, kinds in NEEDS if kind in kinds and not there()]


def digest(root):
    """A fingerprint of everything that decides what gets installed and built."""
    total = hashlib.sha256(f"{root}\n{sys.version}\n".encode())
    for pattern in STAMPED:
        for path in sorted(root.glob(pattern)):
            if path.is_file():
                total.update(f"{path.relative_to(root)}\n".encode())
                total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def is_stamped(kind, fingerprint):
    """Whether this was already set up; what suits the tests suits the demo."""
    stamps = [VENV / f"set-up-for-{name}" for name in ("test", kind)]
    return any(stamp.exists() and stamp.read_text() == fingerprint for stamp in stamps)


# Running commands, with a sign of life and a remedy when they fail.


def run(what, command, log):
    """Run `command` silently into `log`; says what it does, that it is still at it, and how long it took."""
    say(f"  {what} ...")
    began = said = time.monotonic()
    with log.open("ab") as sink:
        sink.write(f"$ {shlex.join(map(str, command))}\n".encode())
        sink.flush()
        offset = sink.tell()
        child = subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=str(ROOT))
        try:
            while child.poll() is None:
                time.sleep(0.1)
                if time.monotonic() - said > TICK_S:
                    said = time.monotonic()
                    say(f"    still at it after {said - began:.0f} s")
        finally:
            if child.poll() is None:
                child.terminate()
                child.wait()
    with log.open("rb") as source:
        source.seek(offset)
        output = source.read().decode(errors="replace")
    if child.returncode == 0:
        say(f"    done in {time.monotonic() - began:.1f} s")
    return child.returncode, output


def must(what, command, log):
    code, output = run(what, command, log)
    if code:
        raise Stuck(f"{what} failed:\n{tail(output)}", remedy_for(output))


def tail(output):
    return "\n".join("    | " + line for line in output.splitlines()[-TAIL_LINES:])


def remedy_for(output):
    """What mends it, read from what the command printed."""
    for signs, remedy in (
        (("No space left on device", "not enough free space"), "Make room on the disk, then run the same command again."),
        (
            ("Temporary failure", "Could not resolve", "Name or service not known", "NameResolutionError"),
            "The network (or its name service) is not reachable. Connect it, or set http_proxy and https_proxy, and run again.",
        ),
        (
            ("Could not connect", "Connection refused", "Network is unreachable", "NewConnectionError", "Connection timed out"),
            "A package server is not reachable. Check network and proxy settings and run again.",
        ),
        (("CERTIFICATE", "certificate verif"), "A certificate is not trusted. Install your network's certificate and run again."),
        (
            ("Could not get lock", "dpkg was interrupted"),
            "Another installation holds apt. Let it end, or run: dpkg --configure -a",
        ),
        (("Unable to locate package",), "Debian's package lists lack it. Check /etc/apt/sources.list and run: apt-get update"),
    ):
        if any(sign in output for sign in signs):
            return remedy
    return "Mend what the lines above name and run the same command again; what is done is not done twice."


# Debian's packages.


def as_root():
    """Words before a command that must run as root. Raises: Stuck without root or sudo."""
    if os.geteuid() == 0:
        return []
    if not has_program("sudo"):
        raise Stuck("Installing Debian packages needs root, and there is no sudo.", "")
    if not sys.stdin.isatty() and subprocess.call(["sudo", "-n", "true"], stderr=subprocess.DEVNULL):
        raise Stuck("Installing Debian packages needs root; sudo asks for a password and there is no terminal to ask.", "")
    subprocess.call(["sudo", "-v"])
    return ["sudo"]


def install_packages(wanted, log):
    names = [package for package, _ in wanted]
    by_hand = "As root: apt-get update && apt-get install -y --no-install-recommends " + " ".join(names)
    if not has_program("apt-get"):
        raise Stuck("Missing programs, and this is not a Debian: " + " ".join(names), "Install them with your system's tools.")
    try:
        root = as_root()
    except Stuck as stuck:
        raise Stuck(str(stuck), by_hand) from None
    say("Debian packages to install (services are not started): " + " ".join(names))
    if not any(Path("/var/lib/apt/lists").glob("*_Packages*")):
        must("apt-get update", [*root, "apt-get", "-q", "update"], log)
    with_services_off(root, lambda: apt_install(root, names, log))
    if Path("/run/systemd/system").is_dir():
        for service in filter(None, (service for _, service in wanted)):
            subprocess.call([*root, "systemctl", "disable", service], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def apt_install(root, names, log):
    options = ["-q", "-y", "--no-install-recommends", "-o", f"DPkg::Lock::Timeout={LOCK_S}", "-o", "Dpkg::Use-Pty=0"]
    command = [*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", *options, *names]
    code, output = run("apt-get install", command, log)
    if code and ("404" in output or "Unable to locate" in output or "has no installation candidate" in output):
        must("apt-get update (the lists are old)", [*root, "apt-get", "-q", "update"], log)
        code, output = run("apt-get install", command, log)
    if code:
        raise Stuck(f"apt-get install failed:\n{tail(output)}", remedy_for(output))


def with_services_off(root, work):
    """Do `work` while Debian's policy file forbids starting services; whatever was there before is put back."""
    ours = Path(DENY).exists() and DENY_MARK in Path(DENY).read_text()  # left by a set-up that was killed
    if Path(DENY).exists() and not ours:
        subprocess.check_call([*root, "mv", DENY, DENY_SAVED])
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as policy:
        policy.write("#!/bin/sh\n" + DENY_MARK + "exit 101\n")
        policy.flush()
        subprocess.check_call([*root, "install", "-m", "755", policy.name, DENY])
    try:
        work()
    finally:
        if Path(DENY_SAVED).exists():
            subprocess.check_call([*root, "mv", DENY_SAVED, DENY])
        else:
            subprocess.check_call([*root, "rm", "-f", DENY])


# Python's packages, and the assets that the package's build makes.


def make_environment(log):
    healthy = (
        not subprocess.call(
            [str(VENV / "bin/python"), "-m", "pip", "--version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        if (VENV / "bin/python").exists()
        else False
    )
    if not healthy:
        must("Python environment in .venv", [sys.executable, "-m", "venv", "--clear", str(VENV)], log)


def install_product(kind, log):
    what = ".[dev]" if kind == "test" else "."
    say("Python packages to install: what pyproject.toml names" + (", with the tools for tests" if kind == "test" else ""))
    command = [
        str(VENV / "bin/python"),
        "-m",
        "pip",
        "install",
        "--no-input",
        "--disable-pip-version-check",
        "--progress-bar",
        "off",
    ]
    if (ROOT / "constraints.txt").exists():
        command += ["-c", "constraints.txt"]
    must("pip install, and the assets", [*command, "-e", what], log)


def check_machine(kind):
    if sys.version_info < OLDEST:
        have, want = ".".join(map(str, sys.version_info[:2])), ".".join(map(str, OLDEST))
        raise Stuck(
            f"This Python is {have}; Pilotbench needs {want}.", f"Use Debian 12, or: make {kind} PYTHON=/path/to/python{want}"
        )
    for folder in {str(ROOT), tempfile.gettempdir()}:
        free = shutil.disk_usage(folder).free // 2**20
        if free < FREE_MB[kind]:
            raise Stuck(f"{folder} has {free} MB free; set-up needs {FREE_MB[kind]} MB.", "Make room, then run it again.")
    if not os.access(str(ROOT), os.W_OK):
        raise Stuck(f"{ROOT} may not be written to.", "Clone the project into a folder of your own.")


def set_up(kind):
    fingerprint = digest(ROOT)
    wanted = missing_packages(kind)
    if not wanted and is_stamped(kind, fingerprint):
        return
    check_machine(kind)
    log = ROOT / "var" / "setup.log"
    log.parent.mkdir(exist_ok=True)
    log.write_bytes(b"")
    say(f"Setting up for make {kind}; details go to {log.relative_to(ROOT)}")
    if wanted:
        install_packages(wanted, log)
        importlib.invalidate_caches()
        absent = [package for package, _ in missing_packages(kind)]
        if absent:
            raise Stuck("Still missing after the installation: " + " ".join(absent), f"See {log}.")
    if not is_stamped(kind, fingerprint):
        make_environment(log)
        install_product(kind, log)
        (VENV / f"set-up-for-{kind}").write_text(fingerprint)


def main(words):
    if len(words) != 1 or words[0] not in FREE_MB:
        say(__doc__)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was set aside is put back
    try:
        set_up(words[0])
    except Stuck as stuck:
        say(f"\nSet-up cannot go on. {stuck}\nRemedy: {stuck.remedy}")
        return 1
    except KeyboardInterrupt:
        say("\nStopped. Run the same command again to go on.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
