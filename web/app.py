"""The ASGI application: routes, error answers, security headers."""

import gc
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import orjson
import structlog
from anyio import to_thread
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DataError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware

from billing.webhooks import read_secrets
from marketplace.db import has_one_writer, lost_a_lock, open_engine, open_readers, open_sessions
from marketplace.group_commit import GroupCommit
from marketplace.refusals import Busy, NotFound, NotSignedIn, Reason, Refusal, TooMany
from marketplace.settings import Settings
from web import api, pages, schema
from web.known import Known
from web.lanes import Lanes
from web.patience import Patience
from web.refusals import Malformed, malformed, problem, status_of
from web.security import BodyLimit, SecurityHeaders

log = structlog.get_logger()
PROBLEM = "application/problem+json"
THREADS = 12
"""Requests that work at once in one process; with more, passing the interpreter's lock around takes longer than their work."""


class Internal(Refusal):
    code = "internal"


class MethodNotAllowed(Refusal):
    code = "method_not_allowed"


def from_environment() -> FastAPI:
    """The factory that server processes call."""
    app = create_app(Settings())
    gc.collect()
    gc.freeze()  # what is loaded by now stays: swept with the rest it held all requests up for a sixth of a second
    return app


def create_app(settings: Settings) -> FastAPI:
    """One stateless server process over the database that `settings` names. Raises: NoSecret (a setting of blanks)."""
    if secrets := settings.stripe_webhook_secrets.get_secret_value():
        read_secrets(secrets)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        to_thread.current_default_thread_limiter().total_tokens = THREADS
        yield
        _end_writing(app)
        app.state.engine.dispose()

    app = FastAPI(
        title="Pilotbench",
        version="0.1.0",
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        responses={code: {"content": {PROBLEM: {}}, "description": text} for code, text in ERRORS.items()},
    )
    connect(app, settings)
    api.include(app)
    pages.include(app)
    _answer_errors(app)
    app.add_middleware(Patience)
    app.add_middleware(GZipMiddleware, minimum_size=500)
    app.add_middleware(BodyLimit, refuse=answer)
    app.add_middleware(SecurityHeaders)
    return app


def connect(app: FastAPI, settings: Settings) -> None:
    """From the next request on `app` works with the database and the other settings given."""
    engine = open_engine(settings.database_url)
    _end_writing(app)
    app.state.settings = settings
    app.state.engine = engine
    app.state.metadata = schema.METADATA
    app.state.sessions = open_sessions(engine)
    app.state.readers = open_readers(engine)
    app.state.group = GroupCommit(engine) if has_one_writer(engine) else None
    app.state.lanes = Lanes()
    app.state.known = Known()


def _end_writing(app: FastAPI) -> None:
    group: GroupCommit | None = getattr(app.state, "group", None)
    if group is not None:
        group.close()


ERRORS: dict[int | str, str] = {
    401: "no valid token",
    403: "not allowed",
    404: "not there, or not yours to know of",
    409: "taken, against a rule, or in the wrong state",
    412: "stale version",
    422: "malformed",
    428: "If-Match is missing",
    429: "too many requests",
    503: "busy, try again",
}


def _answer_errors(app: FastAPI) -> None:
    @app.exception_handler(Refusal)
    async def refused(request: Request, refusal: Refusal) -> Response:
        if request.url.path.startswith("/api/"):  # nothing to wait for
            return answer(request, refusal)
        return await run_in_threadpool(answer, request, refusal)

    @app.exception_handler(RequestValidationError)
    def misshapen(request: Request, error: RequestValidationError) -> Response:
        return answer(request, malformed(error.errors(), within=1))

    @app.exception_handler(HTTPException)
    def http(request: Request, error: HTTPException) -> Response:
        known = {404: NotFound(kind="page"), 405: MethodNotAllowed()}
        unread = Malformed([Reason("field", {"field": "body", "reason": str(error.detail)[:200]})])
        status = 422 if error.status_code == 400 else error.status_code
        response = answer(request, known.get(error.status_code, unread), status)
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(DataError)
    def unstorable(request: Request, error: DataError) -> Response:
        log.warning("unstorable", path=request.url.path, error=str(error.orig)[:200])
        return answer(request, Malformed([Reason("field", {"field": "request", "reason": "holds what cannot be stored"})]), 422)

    @app.exception_handler(PoolTimeout)
    @app.exception_handler(OperationalError)
    def locked(request: Request, error: SQLAlchemyError) -> Response:
        log.warning("database_busy", path=request.url.path, error=str(error)[:200])
        request.state.lock_lost = lost_a_lock(error)
        return answer(request, Busy())

    @app.exception_handler(Exception)
    def broken(request: Request, error: Exception) -> Response:
        log.error("unexpected", path=request.url.path, exc_info=error)
        return answer(request, Internal(), 500)


def answer(request: Request, refusal: Refusal, status: int | None = None) -> Response:
    """The refusal as a page for browsers, as RFC 9457 for programs."""
    code = status or status_of(refusal)
    if request.url.path.startswith("/api/") or request.method == "HEAD":
        response = Response(_written({**problem(refusal), "status": code}), code, media_type=PROBLEM)
    else:
        response = pages.refusal_page(request, refusal, code)
    if isinstance(refusal, Busy):
        response.headers["retry-after"] = "1"
    if isinstance(refusal, NotSignedIn):
        response.headers["www-authenticate"] = "Bearer"
    if isinstance(refusal, TooMany):
        response.headers["retry-after"] = str(refusal.values.get("retry_after_s", 60))
    return response


def _written(body: Mapping[str, Any]) -> bytes:
    """As JSON. A name that someone sent may hold half a surrogate pair, which UTF-8 cannot; then a question mark."""
    try:
        return orjson.dumps(body, default=str)
    except TypeError:
        return json.dumps(body, default=str, ensure_ascii=False).encode(errors="replace")
