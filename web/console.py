"""What the command line says and how, whatever the command."""

import json
import sys
from collections.abc import Callable
from typing import Any

import structlog
import typer

from marketplace.refusals import Refusal
from web.refusals import words


def log_to_stderr() -> None:
    """Tracebacks without the values of variables: among them are secrets, and drawing them takes seconds."""
    *others, _ = structlog.get_config()["processors"]
    plain = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[*others, plain],
        wrapper_class=structlog.make_filtering_bound_logger(20),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def sentence(refusal: Refusal) -> str:
    values = ", ".join(f"{name}={value}" for name, value in refusal.values.items())
    return f"{words(refusal.code, refusal.values, str)} ({values})" if values else words(refusal.code, refusal.values, str)


def show(value: Any, *, as_json: bool, text: Callable[[Any], str]) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2) if as_json else text(value))
