"""The figures and scores of a pack, from its facts alone."""

from pathlib import Path
from typing import Any

from evaluation.assess import Evaluation, evaluate, may_be_entered, with_params
from evaluation.document import as_document
from evaluation.facts import Facts
from evaluation.packs.cells import PackRefused, Problem, Problems
from evaluation.packs.reading import Run, read_facts, read_run
from evaluation.schemes import UnknownScheme, load_scheme, parameters, parse_scheme
from evaluation.scoring import Scheme

SCHEME_FILE = "scheme.toml"
MAX_SCHEME_BYTES = 1 << 20
"""A hundred times the longest scheme that ships."""


def evaluate_pack(directory: Path, scheme: str | None = None) -> dict[str, Any]:
    """`{"units", "ledger", "bookings", "organisations", "scores"}` of the pack, under `scheme` or the one run.json names.

    Raises: PackRefused (every problem, with file, line, column and remedy), UnknownScheme.
    """
    return as_document(compute(directory, scheme)[0])


def compute(directory: Path, scheme: str | None = None) -> tuple[Evaluation, Scheme, Facts]:
    """The same as values, with the scheme that was applied and the facts."""
    if not directory.is_dir():
        raise PackRefused([Problem(str(directory), None, None, "is no directory; give the folder that holds run.json")])
    run = read_run(directory)
    applied = scheme_of(directory, run, scheme)
    facts, _ = read_facts(directory, run.period, applied.zone)
    _check_entered(facts, applied)
    return evaluate(facts, applied), applied, facts


def scheme_of(directory: Path, run: Run, wanted: str | None = None) -> Scheme:
    """A scheme that ships; else the pack's own text, if it is the one that is named; under the run's parameters."""
    name = wanted or run.scheme
    if name is None:
        raise PackRefused([Problem("run.json", None, "scheme", "is missing; name one, such as WPC-OPEN-2026.1")])
    try:
        found = load_scheme(name)
    except UnknownScheme:
        own = directory / SCHEME_FILE
        if not own.is_file():
            raise
        found = parse_scheme(_text(own))
        if name != f"{found.id}-{found.version}":
            raise
    try:
        return with_params(found, parameters(run.params, found.params), run.zone or found.zone)
    except ValueError as error:
        raise PackRefused([Problem("run.json", None, "params", str(error))]) from error


def _text(path: Path) -> str:
    if path.stat().st_size > MAX_SCHEME_BYTES:
        raise PackRefused([Problem(path.name, None, None, f"is larger than {MAX_SCHEME_BYTES >> 20} MiB")])
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        text = f"is not UTF-8 (byte {error.start}); save it as UTF-8"
        raise PackRefused([Problem(path.name, None, None, text)]) from error


def _check_entered(facts: Facts, scheme: Scheme) -> None:
    problems = Problems()
    for org_id, values in facts.manual.items():
        for name in values:
            if not may_be_entered(name, scheme):
                text = f"{name!r} of {org_id!r} is computed from facts or unknown to the scheme; remove the row"
                problems.add("organisation.csv", None, "indicator", text)
    problems.refuse_if_any()
