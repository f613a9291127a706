"""What the papers of the house say is so: README, change log, dependencies, links, and nothing that does not belong here."""

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from pydantic_core import PydanticUndefined

from marketplace.settings import Settings
from web.cli import app

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
READMES = ("README.md", "README.zh-CN.md")
REGISTRY = re.compile(
    r"\b(?:(?:registry|pypi|npm|deb|mirrors?|packages?)[\w-]*\.|[\w.-]*(?:pythonhosted|npmjs))[\w.-]*\.?(?:org|com|net|cn|io)\b"
)
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:work|home|root|Users)/\w")
SECRET = re.compile(r"\b(?:sk|rk)_live_\w{16,}|-----BEGIN [A-Z ]*PRIVATE KEY|\bAKIA[0-9A-Z]{16}\b")
UNFINISHED = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
FENCE = re.compile(r"```.*?```", re.DOTALL)


def files_of_the_repository() -> list[Path]:
    """What is committed or would be."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def texts() -> Iterator[tuple[str, str]]:
    for file in files_of_the_repository():
        data = file.read_bytes()
        if b"\0" not in data[:8000]:
            yield str(file.relative_to(ROOT)), data.decode()


def settings_table(readme: str) -> dict[str, str]:
    """Name to default, as README's table of settings tells them."""
    rows = re.findall(r"^\|\s*`(PILOTBENCH_\w+)`\s*\|\s*(.*?)\s*\|", readme, re.MULTILINE)
    return {name: default.strip("`") for name, default in rows}


def default_of(name: str) -> str:
    value = Settings.model_fields[name].default
    assert value is not PydanticUndefined
    value = value.get_secret_value() if hasattr(value, "get_secret_value") else value
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


@pytest.mark.parametrize("readme", READMES)
def test_the_readme_tells_every_setting_and_its_default(readme: str) -> None:
    told = settings_table((ROOT / readme).read_text())
    assert told == {f"PILOTBENCH_{name.upper()}": default_of(name) for name in Settings.model_fields}


@pytest.mark.parametrize("readme", READMES)
def test_the_make_targets_of_the_readme_exist(readme: str) -> None:
    named = set(re.findall(r"\bmake ([a-z]+)\b", (ROOT / readme).read_text()))
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"demo", "test"} <= named <= targets


@pytest.mark.parametrize("readme", READMES)
def test_the_commands_of_the_readme_exist(readme: str) -> None:
    named = set(re.findall(r"(?<![\w./-])(?:\.venv/bin/)?pilotbench ([a-z][a-z-]*)", (ROOT / readme).read_text()))
    commands = {
        command.name or command.callback.__name__.replace("_", "-") for command in app.registered_commands if command.callback
    }
    commands |= {group.name for group in app.registered_groups if group.name}
    assert named
    assert named <= commands


def test_every_make_target_says_what_it_is() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert re.findall(r"^([a-z]+):(?!.*## )", makefile, re.MULTILINE) == []


def test_every_dependency_has_a_reason() -> None:
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    named = [line for line in lines if re.match(r'  "[A-Za-z][\w.\[\]-]*[<>=]', line)]
    wanted = PYPROJECT["project"]["dependencies"] + PYPROJECT["project"]["optional-dependencies"]["dev"]
    assert len(named) == len(wanted)
    assert [line for line in named if not re.search(r",\s+# \S", line)] == []


def test_every_dependency_is_pinned_within_its_bounds() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.lower().replace("_", "-").split("==") for line in lines if "==" in line)
    wanted = PYPROJECT["project"]["dependencies"] + PYPROJECT["project"]["optional-dependencies"]["dev"]
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(pins[requirement.name.lower()]), requirement.name


def test_the_change_log_tells_of_this_version() -> None:
    assert f"## {PYPROJECT['project']['version']}" in (ROOT / "CHANGELOG.md").read_text()


def test_links_inside_the_repository_resolve() -> None:
    broken = []
    for path, text in texts():
        if path.endswith(".md"):
            for target in LINK.findall(FENCE.sub("", text)):
                inside = target.split("#")[0]
                if (
                    inside
                    and "://" not in target
                    and not target.startswith("mailto:")
                    and not (ROOT / path).parent.joinpath(inside).exists()
                ):
                    broken.append(f"{path}: {target}")
    assert broken == []


@pytest.mark.parametrize(
    "pattern", [REGISTRY, MACHINE_PATH, SECRET, UNFINISHED], ids=["registry", "machine path", "secret", "unfinished"]
)
def test_nothing_is_committed_that_does_not_belong(pattern: re.Pattern[str]) -> None:
    ours = str(Path(__file__).relative_to(ROOT))
    found = [(path, match.group()) for path, text in texts() if path != ours for match in pattern.finditer(text)]
    assert found == []


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (REGISTRY, "see pypi" + ".org"),
        (REGISTRY, "registry.npmjs" + ".org"),
        (MACHINE_PATH, "in /work/" + "main"),
        (SECRET, "sk_live_" + "0" * 24),
    ],
)
def test_what_does_not_belong_is_seen(pattern: re.Pattern[str], text: str) -> None:
    assert pattern.search(text)
