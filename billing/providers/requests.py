"""What Stripe's own description says of a request: form fields to values, and every deviation by name."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import jsonschema

DESCRIPTION = Path(__file__).with_name("stripe_requests.json")
"""Part of Stripe's OpenAPI description (MIT, github.com/stripe/openapi): the paths that the product uses."""


_TEXT, _NUMBER, _TEXTS = {"type": "string"}, {"type": "integer"}, {"type": "array", "items": {"type": "string"}}
_PAGED = {"limit": _NUMBER, "starting_after": _TEXT, "expand": _TEXTS}

NOT_DESCRIBED: dict[str, dict[str, Any]] = {
    "/v1/customers/search": {"query": _TEXT, "limit": _NUMBER, "page": _TEXT},
    "/v1/setup_intents": {"customer": _TEXT, **_PAGED},
    "/v1/checkout/sessions": {"customer": _TEXT, **_PAGED},
}
"""What the product asks with GET and the part of the description leaves out: fields as Stripe's reference names them."""


class Undescribed(ValueError):
    """The request is not one that Stripe describes; says why."""


@dataclass(frozen=True, slots=True)
class Described:
    """A request's method and path template, the ids in its path, and its values with their types."""

    method: str

    template: str
    ids: tuple[str, ...]
    values: Mapping[str, Any]


class Description:
    """Checks requests against the description at `path`."""

    def __init__(self, path: Path = DESCRIPTION) -> None:
        self.paths: dict[str, Any] = json.loads(path.read_text())["paths"]
        self._patterns = [(re.compile(re.sub(r"\{\w+\}", r"([^/]+)", template) + "$"), template) for template in self.paths]

    def read(self, method: str, path: str, query: str, body: str) -> Described:
        """Raises: Undescribed."""
        if method == "GET" and path in NOT_DESCRIBED:
            return Described(method, path, (), _values(query, _closed(NOT_DESCRIBED[path])))
        for pattern, template in self._patterns:
            found = pattern.match(path)
            operation = self.paths[template].get(method.lower())
            if found and operation:
                schema = operation["body"] if method == "POST" else _query_schema(operation["query"])
                return Described(method, template, found.groups(), _values(body if method == "POST" else query, schema))
        raise Undescribed(f"{method} {path} is not in the description")


def _query_schema(fields: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return _closed({field["name"]: field["schema"] for field in fields})


def _closed(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _values(form: str, schema: Mapping[str, Any] | None) -> dict[str, Any]:
    values: dict[str, Any] = _typed(_nested(parse_qsl(form, keep_blank_values=True)), schema or {})
    _check(values, schema or {"additionalProperties": False})
    return values


def _check(values: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    for error in jsonschema.Draft202012Validator(schema).iter_errors(values):
        where = ".".join(str(step) for step in error.path)
        raise Undescribed(f"{where}: {error.message}"[:500])


def _nested(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """`a[b]=1&c[0]=2` as {"a": {"b": "1"}, "c": ["2"]}."""
    tree: dict[str, Any] = {}
    for name, value in pairs:
        steps = re.findall(r"[^\[\]]+", name)
        node = tree
        for step in steps[:-1]:
            node = node.setdefault(step, {})
        node[steps[-1]] = value
    return {name: _lists(value) for name, value in tree.items()}


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(key.isdigit() for key in value):
        return [_lists(value[key]) for key in sorted(value, key=int)]
    return {key: _lists(inner) for key, inner in value.items()}


def _typed(value: Any, schema: Mapping[str, Any]) -> Any:
    """Form text in the types that the schema names; what does not fit stays text and is refused by the check."""
    if "anyOf" in schema:
        choices = [_typed(value, choice) for choice in schema["anyOf"]]
        fitting = zip(choices, schema["anyOf"], strict=True)
        return next((typed for typed, choice in fitting if jsonschema.Draft202012Validator(choice).is_valid(typed)), value)
    if isinstance(value, dict):
        properties, rest = schema.get("properties", {}), schema.get("additionalProperties")
        default = rest if isinstance(rest, Mapping) else {}
        return {name: _typed(inner, properties.get(name, default)) for name, inner in value.items()}
    if isinstance(value, list):
        return [_typed(inner, schema.get("items", {})) for inner in value]
    if schema.get("type") == "integer" and re.fullmatch(r"-?\d+", value):
        return int(value)
    if schema.get("type") == "boolean" and value in {"true", "false"}:
        return value == "true"
    return value
