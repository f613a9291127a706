"""The assessment schemes that ship with the product, read strictly from TOML: a number is text and stays exact."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import fields, replace
from fractions import Fraction
from functools import cache
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

from evaluation.facts import Parameters
from evaluation.scoring import Function, Gate, Grade, Indicator, PeriodRule, Scheme, score
from marketplace.refusals import Refusal

DEFAULT = "WPC-OPEN-2026.1"
NUMBER = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?(/0*[1-9][0-9]{0,11})?")
"""A parameter as text: longer ones, or with an exponent, would only slow exact arithmetic down."""
MAX_SLA_DAYS = 366


class UnknownScheme(Refusal):
    """No scheme of that `name` ships; `known` names those that do."""

    code = "unknown_scheme"


class MalformedScheme(Refusal):
    """A scheme's text does not follow the data model; `problem` says where."""

    code = "malformed_scheme"


def scheme_names() -> list[str]:
    """Every scheme version that ships, as `ID-VERSION`."""
    found = (entry.name for entry in files(__name__).iterdir() if entry.name.endswith(".toml"))
    return sorted(name.removesuffix(".toml") for name in found)


@cache
def load_scheme(name: str) -> Scheme:
    """Raises: UnknownScheme."""
    if name not in scheme_names():
        raise UnknownScheme(name=name, known=scheme_names())
    return parse_scheme(files(__name__).joinpath(f"{name}.toml").read_text(encoding="utf-8"))


def scheme_name(scheme: Scheme) -> str:
    return f"{scheme.id}-{scheme.version}"


def parse_scheme(text: str) -> Scheme:
    """Raises: MalformedScheme."""
    try:
        data = tomllib.loads(text)
        scheme = Scheme(
            **{name: data[name] for name in ("id", "version", "title_zh", "title_en", "authority", "legal_ref", "valid_from")},
            zone=ZoneInfo(data["zone"]),
            period_rule=PeriodRule(data["period_rule"]),
            params=parameters(data.get("params", {})),
            purposes_excluded=frozenset(data.get("purposes_excluded", [])),
            indicators=tuple(_indicator(row) for row in data["indicators"]),
            grades=tuple(Grade(row["name"], Fraction(row["at_least"])) for row in data["grades"]),
            gates=tuple(_gate(row) for row in data.get("gates", [])),
            tie_break=tuple(data.get("tie_break", [])),
            source=text,
        )
        _try_out(scheme)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise MalformedScheme(problem=f"{type(error).__name__}: {error}") from error
    return scheme


def _try_out(scheme: Scheme) -> None:
    """Score once, so that a function without its arguments is refused here and not with the first figures."""
    grades = [grade.name for grade in scheme.grades]
    if unknown := [gate.code for gate in scheme.gates if gate.at_most not in grades]:
        raise ValueError(f"gates {unknown} name a grade that is none of {grades}")
    if not grades or not scheme.indicators:
        raise ValueError("a scheme needs grades and indicators")
    counted = [metric for indicator in scheme.indicators for metric, _ in indicator.args.get("counts", ())]
    names = [*(indicator.metric for indicator in scheme.indicators), *counted]
    half_a_year = replace(scheme, params=replace(scheme.params, year_share=Fraction(1, 2)))
    score(half_a_year, dict.fromkeys(names, Fraction(-1)))


def parameters(given: Mapping[str, Any], defaults: Parameters | None = None) -> Parameters:
    """`defaults` (the standard ones if None) with the values `given` by name. Raises: ValueError naming the parameter."""
    known = {f.name: f.type for f in fields(Parameters)}
    values: dict[str, Any] = {name: getattr(defaults or Parameters(), name) for name in known}
    for name, value in given.items():
        if name not in known:
            raise ValueError(f"params.{name} is not a parameter; known: {', '.join(known)}")
        if not NUMBER.fullmatch(str(value)):
            raise ValueError(f"params.{name} must be a number of at least 0, such as 600, 0.9 or 9/10")
        exact = Fraction(str(value))
        if known[name] is int and exact.denominator != 1:
            raise ValueError(f"params.{name} must be a whole number of at least 0")
        if name == "sla_working_days" and exact > MAX_SLA_DAYS:
            raise ValueError(f"params.{name} must be at most {MAX_SLA_DAYS}")
        values[name] = int(exact) if known[name] is int else exact
    return Parameters(**values)


def _indicator(row: Mapping[str, Any]) -> Indicator:
    function = Function(row["function"])
    return Indicator(
        code=row["code"],
        parent=row["parent"],
        name_zh=row["name_zh"],
        name_en=row["name_en"],
        weight=Fraction(row["weight"]),
        function=function,
        metric=row.get("metric", row["code"]),
        args={name: _exact(value) for name, value in row.get("args", {}).items()},
        clause=row.get("clause", ""),
        evidence_required=tuple(row.get("evidence_required", [])),
        annual=bool(row.get("annual", False)),
    )


def _exact(value: Any) -> Any:
    """`[["0.95", "6"], ["visits", "3"]]`: what reads as a number is one, the rest are names."""
    if isinstance(value, list):
        return tuple(_exact(part) for part in value)
    try:
        return Fraction(value)
    except ValueError:
        return value


def _gate(row: Mapping[str, Any]) -> Gate:
    below, equals = (Fraction(row[name]) if name in row else None for name in ("below", "equals"))
    if (below is None) == (equals is None):
        raise ValueError(f"gate {row['code']} needs either below or equals")
    return Gate(row["code"], row["metric"], row["at_most"], below, equals)
