"""An evaluation as the documented JSON: decimal strings for hours and ratios, integers for seconds, null for n/a."""

from collections.abc import Mapping
from typing import Any

from evaluation.assess import Evaluation, OrganisationResult, UnitResult
from evaluation.figures import Figure, rounded, seconds
from evaluation.scoring import Scores


def as_document(evaluation: Evaluation) -> dict[str, Any]:
    """`{"units", "ledger", "bookings", "organisations", "scores"}`, each by id."""
    return {
        "units": {unit_id: _unit(unit) for unit_id, unit in evaluation.units.items()},
        "ledger": {
            unit_id: {state.value: count for state, count in unit.states.ledger.items()}
            for unit_id, unit in evaluation.units.items()
        },
        "bookings": {
            booking.id: {
                "status": result.status.value,
                "eff_seconds": result.eff_s,
                "flags": ["conflict"] if result.conflict else [],
            }
            for unit in evaluation.units.values()
            for booking, result in zip(unit.facts.bookings, unit.states.results, strict=True)
        },
        "organisations": {name: _organisation(one) for name, one in evaluation.organisations.items()},
        "scores": {name: scores_document(one.scores) for name, one in evaluation.organisations.items()},
    }


def texts(found: Mapping[str, Figure]) -> dict[str, str | int | None]:
    return {code: figure.text for code, figure in found.items()}


def _unit(unit: UnitResult) -> dict[str, Any]:
    flags = sorted(unit.tally.flags | ({"no_use"} if not unit.tally.eff_s else set()))
    return {
        **texts(unit.figures),
        "window_seconds": unit.tally.window_s,
        "seconds": seconds(unit.figures),
        "flags": flags,
    }


def _organisation(one: OrganisationResult) -> dict[str, Any]:
    return {**texts(one.figures), "flags": sorted(one.tally.flags)}


def scores_document(scores: Scores) -> dict[str, Any]:
    """Points with two digits each; the total is rounded from the exact sum, not from the rounded points."""
    return {
        "indicators": {code: rounded(points, 2) for code, points in scores.points.items()},
        "total": rounded(scores.total, 2),
        "grade": scores.grade,
        "gates": list(scores.gates),
        "missing": list(scores.missing),
    }
