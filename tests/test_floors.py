"""The floors hold, and the code keeps the shape it promises; each rule is tried on a violation too."""

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = ("marketplace", "booking", "devices", "billing", "evaluation", "web")
LONGEST_FUNCTION = 60
LONGEST_FILE = 400
COMMITTERS = {"web/deps.py", "web/worker.py", "web/cli.py", "web/demo/__init__.py", "web/demo/past.py"}
CLOCK = "marketplace/clock.py"
ENVIRONMENT = {"marketplace/settings.py"}
SHAPELESS = re.compile(r"(^|_)(utils?|helpers?|common|services?|managers?|repositor(y|ies))$")
CLOCK_READS = {
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
    ("time", "time"),
    ("time", "time_ns"),
}
ROOMS = {  # where a vendor's package may be imported: a prefix of the path
    "paho": ("devices/",),
    "stripe": ("billing/providers/", "billing/webhooks.py"),
    "apscheduler": ("web/running.py",),
    "fastapi": ("web/", "billing/providers/"),
    "starlette": ("web/",),
    "jinja2": ("web/",),
    "typer": ("web/",),
}

Found = Iterator[str]


def sources() -> dict[str, str]:
    """Every Python file of the product by its path, migrations' scripts left out."""
    files = [file for floor in FLOORS for file in sorted((ROOT / floor).rglob("*.py")) if "migrations" not in file.parts]
    return {str(file.relative_to(ROOT)): file.read_text() for file in files}


def long_functions(path: str, tree: ast.Module, text: str) -> Found:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > LONGEST_FUNCTION:
                yield f"{path}:{node.lineno} {node.name} has {lines} lines"


def long_files(path: str, tree: ast.Module, text: str) -> Found:
    lines = text.count("\n")
    if lines > LONGEST_FILE:
        yield f"{path} has {lines} lines"


def stray_commits(path: str, tree: ast.Module, text: str) -> Found:
    if path in COMMITTERS:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "commit":
            yield f"{path}:{node.lineno} commits"


def stray_clocks(path: str, tree: ast.Module, text: str) -> Found:
    if path == CLOCK:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and (node.value.id, node.attr) in CLOCK_READS:
            yield f"{path}:{node.lineno} reads {node.value.id}.{node.attr}"


def inline_imports(path: str, tree: ast.Module, text: str) -> Found:
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    yield f"{path}:{node.lineno} imports inside {function.name}"


def shapeless_names(path: str, tree: ast.Module, text: str) -> Found:
    for part in Path(path).with_suffix("").parts:
        if SHAPELESS.search(part):
            yield f"{path}: {part} names no idea"


def stray_environment(path: str, tree: ast.Module, text: str) -> Found:
    if path in ENVIRONMENT:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"} and ast.unparse(node.value) == "os":
            yield f"{path}:{node.lineno} reads the environment"


def stray_vendors(path: str, tree: ast.Module, text: str) -> Found:
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        for vendor in {name.split(".")[0] for name in names} & ROOMS.keys():
            if not path.startswith(ROOMS[vendor]):
                yield f"{path} imports {vendor}"


def untold(path: str, tree: ast.Module, text: str) -> Found:
    if text.strip() and not ast.get_docstring(tree):
        yield f"{path} says nothing of what it is"


RULES: dict[Callable[[str, ast.Module, str], Found], tuple[str, str]] = {
    long_functions: ("booking/a.py", "def f():\n" + "    x = 1\n" * 60),
    long_files: ("booking/a.py", "x = 1\n" * 401),
    stray_commits: ("booking/actions.py", "def f(session):\n    session.commit()\n"),
    stray_clocks: ("booking/actions.py", "now = datetime.now(UTC)\n"),
    inline_imports: ("web/app.py", "def f():\n    import json\n"),
    shapeless_names: ("booking/date_utils.py", "x = 1\n"),
    stray_environment: ("web/app.py", "import os\nx = os.environ['A']\n"),
    stray_vendors: ("booking/queries.py", "from fastapi import Depends\n"),
    untold: ("booking/a.py", "x = 1\n"),
}


def by_name(rule: object) -> str:
    return str(getattr(rule, "__name__", rule))


@pytest.mark.parametrize("rule", RULES, ids=by_name)
def test_the_code_keeps_its_shape(rule: Callable[[str, ast.Module, str], Found]) -> None:
    assert [fault for path, text in sources().items() for fault in rule(path, ast.parse(text), text)] == []


@pytest.mark.parametrize("rule", RULES, ids=by_name)
def test_a_violation_of_shape_is_seen(rule: Callable[[str, ast.Module, str], Found]) -> None:
    path, text = RULES[rule]
    assert len(list(rule(path, ast.parse(text), text))) == 1


def test_tests_patch_nothing() -> None:
    patch = "mock" + ".patch"
    assert [file.name for file in (ROOT / "tests").rglob("*.py") if patch in file.read_text()] == []


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run([program, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False)


def test_the_contracts_of_the_floors_hold() -> None:
    answer = lint_imports(ROOT)
    assert answer.returncode == 0, answer.stdout


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("marketplace/ids.py", "from web import refusals", "floors BROKEN"),
        ("booking/queries.py", "import billing.pricing", "floors BROKEN"),
        ("booking/occupancy.py", "import sqlalchemy", "pure BROKEN"),
        ("billing/pricing.py", "import marketplace.clock", "pure BROKEN"),
    ],
)
def test_a_broken_floor_is_caught(tmp_path: Path, file: str, line: str, contract: str) -> None:
    for floor in FLOORS:
        shutil.copytree(ROOT / floor, tmp_path / floor, ignore=shutil.ignore_patterns("__pycache__", "static", "assets"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    target = tmp_path / file
    target.write_text(target.read_text() + f"\n{line}\n")
    answer = lint_imports(tmp_path)
    assert answer.returncode == 1
    assert contract in answer.stdout
