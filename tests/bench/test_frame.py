"""The frame of `make bench`."""

from pathlib import Path

from tests.bench.frame import BenchRow, Better, bench_modules, table

RATE = BenchRow("ingest", "null subscriber", limit=20_000, ours=11_000, unit="msg/s", floor=0.6, aim=0.85)
TIME = BenchRow("report", "bare plan", limit=2, ours=2.2, unit="s", floor=2, aim=1.25, better=Better.LOWER)


def test_a_rate_below_its_floor_says_so() -> None:
    assert RATE.verdict == "BELOW"


def test_a_duration_is_better_when_lower() -> None:
    assert TIME.verdict == "aim"


def test_the_table_shows_limit_and_ours_side_by_side() -> None:
    lines = table([RATE, TIME]).splitlines()
    assert lines[1].split() == ["ingest", "null", "subscriber", "20,000", "11,000", "msg/s", "0.55", "0.6", "0.85", "BELOW"]
    assert len(lines) == 3


def test_bench_files_of_every_area_are_found(tmp_path: Path) -> None:
    for name in ("devices/bench_ingest.py", "devices/test_ingest.py", "web/bench_pages.py"):
        file = tmp_path / "tests" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    assert bench_modules(tmp_path / "tests") == ["tests.devices.bench_ingest", "tests.web.bench_pages"]
