"""Whether the process lives, whether it is ready, and its figures."""

from contextlib import suppress
from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from devices import queries as devices
from marketplace import jobs
from marketplace.refusals import Refusal
from web.api.figures import gather
from web.deps import Configured, Now
from web.migrate import check_guard, is_current
from web.security import DOCS_POLICY

router = APIRouter(tags=["health"])
HEARD_WITHIN = timedelta(seconds=30)
TICKED_WITHIN = timedelta(seconds=60)


@router.get("/healthz", response_class=PlainTextResponse)
def healthz() -> str:
    return "ok\n"


@router.get("/readyz")
def readyz(request: Request, response: Response, now: Now, settings: Configured) -> dict[str, Any]:
    """Database, migrations, the guard against double booking, the broker's way in, and the worker's ticking; `broker_login` is
    told where the broker has refused a worker since anything was heard by it."""
    checks: dict[str, bool] = {}
    try:
        with request.app.state.readers() as session:
            session.execute(text("SELECT 1"))
            checks["database"] = True
            heard = devices.last_heartbeat(session)
            refused = devices.last_heartbeat(session, devices.REFUSED)
            ticked = jobs.last_done(session, job="fold")
        checks["migrations"] = is_current(request.app.state.engine)
        check_guard(request.app.state.engine)
        checks["guard"] = True
        checks["worker"] = ticked is not None and now - ticked <= TICKED_WITHIN
        if settings.mqtt_url:
            checks["broker"] = heard is not None and now - heard <= HEARD_WITHIN
            if refused is not None and (heard is None or refused > heard):
                checks["broker_login"] = False
    except SQLAlchemyError:
        checks["database"] = False
    except Refusal:
        checks["guard"] = False
    ready = all(checks.values())
    response.status_code = 200 if ready else 503
    return {"ready": ready, **checks}


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(request: Request, now: Now) -> Response:
    """What the process counts; where the database answers, what waits for the payment provider and differs from it."""
    with suppress(SQLAlchemyError), request.app.state.readers() as session:
        gather(session, now=now)
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


@router.get("/api/docs", include_in_schema=False)
def docs(request: Request) -> Response:
    """The API by path, drawn from the OpenAPI document without anything from elsewhere."""
    rows = [
        f"<tr><td>{method.upper()}</td><td><code>{path}</code></td><td>{call.get('summary', '')}</td></tr>"
        for path, calls in sorted(request.app.openapi()["paths"].items())
        for method, call in calls.items()
    ]
    page = (
        "<!doctype html><html lang='en'><title>Pilotbench API</title><h1>Pilotbench API</h1>"
        "<p>Machine-readable: <a href='/api/openapi.json'>openapi.json</a></p>"
        f"<table><tr><th>Method</th><th>Path</th><th></th></tr>{''.join(rows)}</table></html>"
    )
    return HTMLResponse(page, headers={"content-security-policy": DOCS_POLICY})
