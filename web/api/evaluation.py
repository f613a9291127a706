"""Utilisation figures, evaluations and packs over JSON."""

import io
import tempfile
import zipfile
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from evaluation import actions, queries
from evaluation.schemes import DEFAULT
from marketplace.people import queries as people
from marketplace.permissions import Action, require
from web.api import shapes
from web.api.bookings import read_slot
from web.deps import ReadDb, SignedIn

router = APIRouter(prefix="/api/v1", tags=["evaluation"])


@router.get("/institutions/{institution_id}/metrics")
def metrics(
    institution_id: str,
    db: ReadDb,
    actor: SignedIn,
    from_: Annotated[shapes.Instant, Query(alias="from")],
    to: shapes.Instant,
    scheme: str = DEFAULT,
) -> dict[str, Any]:
    people.get_institution(db, institution_id)
    require(actor, Action.SEE_EVALUATION, institution_id=institution_id)
    return queries.institution_metrics(db, institution_id, read_slot(from_, to), scheme=scheme)


@router.get("/evaluations")
def evaluations(db: ReadDb, actor: SignedIn, period: str, scheme: str = DEFAULT) -> dict[str, Any]:
    require(actor, Action.PUBLISH_EVALUATION)
    return queries.evaluation(db, period, scheme)


@router.get("/evaluations/{revision_id}/pack")
def pack(revision_id: str, db: ReadDb, actor: SignedIn) -> Response:
    revision = queries.get_revision(db, revision_id)
    require(actor, Action.SEE_EVALUATION, institution_id=revision.institution_id)
    with tempfile.TemporaryDirectory() as folder:
        actions.write_revision_pack(db, revision_id=revision.id, directory=Path(folder) / "pack")
        content = zipped(Path(folder) / "pack")
    name = f"pilotbench-{revision.period.replace('/', '_')}-{revision.institution_id}.zip"
    return Response(content, media_type="application/zip", headers={"content-disposition": f'attachment; filename="{name}"'})


def zipped(folder: Path) -> bytes:
    """A folder's files as one archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder))
    return buffer.getvalue()
