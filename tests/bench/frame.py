"""`make bench`: the limit and ours side by side, measured in one run, printed as one table.

An area adds a file `tests/<area>/bench_<what>.py` with a function `rows() -> Iterable[BenchRow]`:

    from tests.bench.frame import Better, BenchRow

    def rows() -> list[BenchRow]:
        return [BenchRow("ingest, QoS 1", "paho null subscriber", limit=21_000, ours=19_000, unit="msg/s", floor=0.6, aim=0.85)]

Each file runs in a process of its own; all together have ten minutes, and what does not finish in time is said, not waited for.
"""

import argparse
import importlib
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tests.servers import stop

BUDGET_S = 600
TESTS = Path(__file__).resolve().parents[1]


class Better(StrEnum):
    """Whether more of the figure is better (a rate) or less (a duration)."""

    HIGHER = "higher"
    LOWER = "lower"


@dataclass(frozen=True)
class BenchRow:
    """One figure: a measured limit of the machine or of a bare plan, and ours, in the same unit and the same run.

    `floor` and `aim` are ratios ours / limit: at least (a rate) or at most (a duration).
    """

    name: str
    limit_name: str
    limit: float
    ours: float
    unit: str
    floor: float
    aim: float
    better: Better = Better.HIGHER

    @property
    def ratio(self) -> float:
        """Ours over the limit.

        >>> BenchRow("ingest", "null", limit=20_000, ours=17_000, unit="msg/s", floor=0.6, aim=0.85).ratio
        0.85
        """
        return self.ours / self.limit

    @property
    def verdict(self) -> str:
        """`aim`, `floor` or `BELOW`: the best mark that is reached.

        >>> BenchRow("report", "bare plan", limit=2.0, ours=3.0, unit="s", floor=2, aim=1.25, better=Better.LOWER).verdict
        'floor'
        """
        if self._reaches(self.aim):
            return "aim"
        return "floor" if self._reaches(self.floor) else "BELOW"

    def _reaches(self, mark: float) -> bool:
        return self.ratio >= mark if self.better is Better.HIGHER else self.ratio <= mark


@dataclass(frozen=True)
class Missed:
    """A bench that gave no rows, and why."""

    module: str
    reason: str


def bench_modules(tests: Path) -> list[str]:
    """Dotted names of every `tests/<area>/bench_*.py`, in order."""
    return [".".join(path.relative_to(tests.parent).with_suffix("").parts) for path in sorted(tests.glob("*/bench_*.py"))]


def measure(module: str, *, limit_s: float) -> list[BenchRow] | Missed:
    """The rows of one module, run in a process of its own so that a limit of time can end it."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "rows"
        command = [sys.executable, "-m", "tests.bench.frame", "--one", module, str(answer)]
        child = subprocess.Popen(command, cwd=TESTS.parent, stdin=subprocess.DEVNULL)
        try:
            code = child.wait(limit_s)
        except subprocess.TimeoutExpired:
            return Missed(module, f"not finished within the {limit_s:.0f} s that were left")
        finally:
            stop(child)  # by an interrupt, so that it stops the servers it started
        if code:
            return Missed(module, f"ended with exit code {code}")
        rows: list[BenchRow] = pickle.loads(answer.read_bytes())
        return rows


def table(rows: Sequence[BenchRow]) -> str:
    """The rows as aligned text, limit beside ours."""
    head = ("what", "limit", "", "ours", "unit", "ratio", "floor", "aim", "reaches")
    cells = [head] + [
        (
            row.name,
            row.limit_name,
            f"{row.limit:,.4g}" if row.limit < 1000 else f"{row.limit:,.0f}",
            f"{row.ours:,.4g}" if row.ours < 1000 else f"{row.ours:,.0f}",
            row.unit,
            f"{row.ratio:.2f}",
            f"{row.floor:g}",
            f"{row.aim:g}",
            row.verdict,
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells)


def run(modules: Sequence[str]) -> int:
    """Measure every module, print the table; 1 if a figure is below its floor or a bench gave none."""
    end = time.monotonic() + BUDGET_S
    rows: list[BenchRow] = []
    missed: list[Missed] = []
    for module in modules:
        say(f"measuring {module} ...")
        answer = measure(module, limit_s=max(1, end - time.monotonic()))
        if isinstance(answer, Missed):
            missed.append(answer)
        else:
            rows += answer
    say(table(rows))
    for gap in missed:
        say(f"no rows from {gap.module}: {gap.reason}")
    return 1 if missed or any(row.verdict == "BELOW" for row in rows) else 0


def run_one(module: str, answer: Path) -> int:
    found: Iterable[BenchRow] = importlib.import_module(module).rows()
    # The child runs this file as __main__, so rows are made of the imported class, which the parent knows by name.
    answer.write_bytes(pickle.dumps(list(found)))
    return 0


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="measure the limits of this machine and ours in one run")
    parser.add_argument("--one", nargs=2, metavar=("MODULE", "FILE"), help=argparse.SUPPRESS)
    parser.add_argument("only", nargs="*", help="run only the modules whose name contains one of these words")
    given = parser.parse_args(words)
    if given.one:
        return run_one(given.one[0], Path(given.one[1]))
    found = [module for module in bench_modules(TESTS) if not given.only or any(word in module for word in given.only)]
    return run(found)


if __name__ == "__main__":
    sys.exit(main())
