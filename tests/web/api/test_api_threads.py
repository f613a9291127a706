"""What a writing request does in its thread: nothing that waits for another while it holds the one write lock of SQLite."""

import importlib
import pkgutil
from collections.abc import Iterator

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from web import api, pages
from web.deps import open_session


def writing_routes() -> Iterator[APIRoute]:
    for package in (api, pages):
        for module in pkgutil.iter_modules(package.__path__):
            router = getattr(importlib.import_module(f"{package.__name__}.{module.name}"), "router", None)
            for route in router.routes if router else ():
                if isinstance(route, APIRoute) and writes(route.dependant):
                    yield route


def writes(dependant: Dependant) -> bool:
    return dependant.call is open_session or any(writes(one) for one in dependant.dependencies)


def test_no_answer_is_checked_in_another_thread_before_its_transaction_ends() -> None:
    """The framework checks a declared answer in its thread pool, whose threads may all wait for this very transaction."""
    found = list(writing_routes())
    assert len(found) > 50
    assert [route.path for route in found if route.response_field is not None] == []
