"""Set-up: what decides that it has nothing to do, and what it says when it cannot go on."""

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "scripts/setup.py"
spec = importlib.util.spec_from_file_location("set_up", SCRIPT)
assert spec
assert spec.loader
set_up = importlib.util.module_from_spec(spec)
spec.loader.exec_module(set_up)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "web/assets").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("[project]")
    (tmp_path / "web/assets/app.css").write_text("a {}")
    (tmp_path / "web/app.py").write_text("x = 1")
    return tmp_path


@pytest.mark.parametrize("name", ["pyproject.toml", "web/assets/app.css", "package-lock.json"])
def test_a_changed_input_asks_for_set_up(project: Path, name: str) -> None:
    before = set_up.digest(project)
    (project / name).write_text("changed")
    assert set_up.digest(project) != before


def test_changed_code_does_not_ask_for_set_up(project: Path) -> None:
    before = set_up.digest(project)
    (project / "web/app.py").write_text("x = 2")
    assert set_up.digest(project) == before


def test_what_suits_the_tests_suits_the_demo_and_not_the_reverse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(set_up, "VENV", tmp_path)
    (tmp_path / "set-up-for-test").write_text("same")
    assert set_up.is_stamped("demo", "same")
    (tmp_path / "set-up-for-test").rename(tmp_path / "set-up-for-demo")
    assert not set_up.is_stamped("test", "same")
    assert not set_up.is_stamped("demo", "other")


@pytest.mark.parametrize(
    ("output", "word"),
    [
        ("tar: write error: No space left on device", "disk"),
        ("E: Failed to fetch ... Temporary failure resolving 'somewhere'", "network"),
        ("ERROR: Could not find a version (NewConnectionError: Connection refused)", "server"),
        ("E: Unable to locate package chromium", "apt-get update"),
        ("something nobody foresaw", "again"),
    ],
)
def test_a_failure_comes_with_its_remedy(output: str, word: str) -> None:
    assert word in set_up.remedy_for(output)


def test_services_stay_off_only_while_packages_are_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deny = tmp_path / "policy-rc.d"
    monkeypatch.setattr(set_up, "DENY", str(deny))
    monkeypatch.setattr(set_up, "DENY_SAVED", str(tmp_path / "saved"))
    deny.write_text("theirs")
    seen = []
    set_up.with_services_off([], lambda: seen.append(deny.read_text()))
    assert "exit 101" in seen[0]
    assert deny.read_text() == "theirs"
    deny.unlink()
    with pytest.raises(ZeroDivisionError):
        set_up.with_services_off([], lambda: 1 / 0)
    assert not deny.exists()
