"""Evaluation: overview, institution, unit, definitions, and their downloads."""

import tempfile
from pathlib import Path

from fastapi import APIRouter, Response

from evaluation import actions, queries
from evaluation.exports import csv, xlsx
from evaluation.exports import queries as exports
from evaluation.overview import queries as overviews
from evaluation.periods import period_slot
from evaluation.schemes import DEFAULT, load_scheme
from marketplace.catalogue import queries as catalogue
from marketplace.people import queries as people
from marketplace.permissions import Action, Actor, may, require
from marketplace.refusals import NotFound
from web.api.evaluation import zipped
from web.deps import Db, Now, ReadDb, SignedIn
from web.pages.drawing import Drawing, Fields, text
from web.present import evaluation
from web.present.evaluation import Asked
from web.views.frame import Area

router = APIRouter(prefix="/{lang}")
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def require_overview(actor: Actor) -> None:
    """Whoever looks over all institutions; for everybody else the page is not there. Raises: NotFound."""
    if not (actor.is_evaluator or actor.is_operator):
        raise NotFound(kind="evaluation")


def require_institution(actor: Actor, institution_id: str) -> None:
    """Raises: NotFound."""
    if not may(actor, Action.SEE_EVALUATION, institution_id=institution_id):
        raise NotFound(kind="evaluation")


@router.get("/evaluation")
def overview(
    pen: Drawing,
    db: ReadDb,
    actor: SignedIn,
    now: Now,
    period: str = "",
    district: str = "",
    compare: str = "",
    sort: str = "util",
) -> Response:
    own = [one for one in actor.institutions() if may(actor, Action.SEE_EVALUATION, institution_id=one)]
    if own and not (actor.is_evaluator or actor.is_operator):
        return pen.go(f"/evaluation/institutions/{min(own)}")
    require_overview(actor)
    asked = Asked(period[:40] or evaluation.this_month(now), district[:100], compare[:20], sort[:20])
    view = evaluation.overview(db, asked, lang=pen.lang, now=now)
    return pen.page("evaluation.html", view, area=Area.EVALUATION)


@router.get("/evaluation.csv")
def overview_csv(pen: Drawing, db: ReadDb, actor: SignedIn, now: Now, period: str = "", district: str = "") -> Response:
    return _download(pen, db, actor, now, period, district, "csv")


@router.get("/evaluation.xlsx")
def overview_xlsx(pen: Drawing, db: ReadDb, actor: SignedIn, now: Now, period: str = "", district: str = "") -> Response:
    return _download(pen, db, actor, now, period, district, "xlsx")


def _download(pen: Drawing, db: ReadDb, actor: Actor, now: Now, period: str, district: str, kind: str) -> Response:
    require_overview(actor)
    name = period[:40] or evaluation.this_month(now)
    only = overviews.institutions_in(db, district[:100]) if district else None
    report = exports.report_of_window(db, within=period_slot(load_scheme(DEFAULT), name), now=now, institution_ids=only)
    content = csv.institutions_csv(report) if kind == "csv" else xlsx.workbook(report)
    return _file(content, evaluation.file_name(name, kind), kind)


def _file(content: bytes, name: str, kind: str) -> Response:
    media = {"csv": "text/csv; charset=utf-8", "xlsx": XLSX, "zip": "application/zip"}[kind]
    return Response(content, media_type=media, headers={"content-disposition": f'attachment; filename="{name}"'})


@router.get("/evaluation/institutions/{institution_id}.csv")
def institution_csv(institution_id: str, db: ReadDb, actor: SignedIn, now: Now, period: str = "") -> Response:
    return _institution_file(db, actor, now, institution_id, period, "csv")


@router.get("/evaluation/institutions/{institution_id}.xlsx")
def institution_xlsx(institution_id: str, db: ReadDb, actor: SignedIn, now: Now, period: str = "") -> Response:
    return _institution_file(db, actor, now, institution_id, period, "xlsx")


def _institution_file(db: ReadDb, actor: Actor, now: Now, institution_id: str, period: str, kind: str) -> Response:
    people.get_institution(db, institution_id)
    require_institution(actor, institution_id)
    name = period[:40] or evaluation.this_month(now)
    within = period_slot(load_scheme(DEFAULT), name)
    report = exports.report_of_window(db, within=within, now=now, institution_ids=[institution_id])
    content = csv.units_csv(report) if kind == "csv" else xlsx.workbook(report)
    return _file(content, evaluation.file_name(name, kind, institution_id), kind)


@router.get("/evaluation/institutions/{institution_id}/pack")
def pack(institution_id: str, db: ReadDb, actor: SignedIn, revision: str) -> Response:
    """The facts a published revision was computed from, as they were."""
    row = queries.get_revision(db, revision)
    if row.institution_id != institution_id:
        raise NotFound(kind="revision")
    require_institution(actor, institution_id)
    with tempfile.TemporaryDirectory() as folder:
        actions.write_revision_pack(db, revision_id=row.id, directory=Path(folder) / "pack")
        content = zipped(Path(folder) / "pack")
    return _file(content, evaluation.file_name(row.period, "zip", institution_id), "zip")


@router.get("/evaluation/institutions/{institution_id}")
def institution(pen: Drawing, institution_id: str, db: ReadDb, actor: SignedIn, now: Now, period: str = "") -> Response:
    people.get_institution(db, institution_id)
    require_institution(actor, institution_id)
    publishes = may(actor, Action.PUBLISH_EVALUATION)
    name = period[:40] or evaluation.this_month(now)
    view = evaluation.institution(db, institution_id, name, lang=pen.lang, now=now, can_publish=publishes)
    return pen.page("evaluation_institution.html", view, area=Area.EVALUATION)


@router.post("/evaluation/institutions/{institution_id}/publish")
def publish(pen: Drawing, institution_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    people.get_institution(db, institution_id)
    require_institution(actor, institution_id)
    require(actor, Action.PUBLISH_EVALUATION)
    period = text(fields, "period")[:40]
    actions.publish(db, institution_id=institution_id, period=period, actor_id=actor.known_id, now=now)
    return pen.go(f"/evaluation/institutions/{institution_id}?period={period}", "frozen")


@router.get("/evaluation/units/{resource_id}")
def unit(pen: Drawing, resource_id: str, db: ReadDb, actor: SignedIn, now: Now, period: str = "") -> Response:
    row = catalogue.get_resource(db, resource_id)
    require_institution(actor, row.institution_id)
    view = evaluation.unit(db, resource_id, period[:40] or evaluation.this_month(now), lang=pen.lang, now=now)
    return pen.page("evaluation_unit.html", view, area=Area.EVALUATION, zone=view.zone)


@router.get("/definitions")
def definitions(pen: Drawing) -> Response:
    return pen.page("definitions.html", evaluation.definitions(pen.lang))
