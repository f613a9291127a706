"""Evidence over JSON: the seals for everybody, a resource's messages and proofs for those who work there or evaluate it."""

import tempfile
from datetime import date
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from sqlalchemy.orm import Session

from devices.archive.files import Archive, archive_in
from devices.evidence import queries
from devices.evidence.exporting import export
from devices.evidence.tables import EvidenceSeal
from marketplace.catalogue import queries as catalogue
from marketplace.permissions import Action, may
from marketplace.refusals import NotAllowed
from web.api import shapes
from web.api.evaluation import zipped
from web.deps import Configured, ReadDb, SignedIn
from web.evidence import read_day

router = APIRouter(prefix="/api/v1", tags=["devices"])
LONGEST_DAYS = 62
"""Of an answer; the command line writes more."""
Cursor = Annotated[int | None, Query(ge=1, le=10**9)]
"""The last number of the page before."""


@router.get("/evidence")
def seals(db: ReadDb, limit: Annotated[int, Query(ge=1, le=200)] = 50, cursor: Cursor = None) -> dict[str, Any]:
    rows = queries.latest_seals(db, limit=limit + 1, before=cursor)
    return {"items": [seal(row) for row in rows[:limit]], "next_cursor": rows[limit - 1].number if len(rows) > limit else None}


def seal(row: EvidenceSeal) -> dict[str, Any]:
    return {
        "number": row.number,
        "day": row.day.isoformat(),
        "previous": row.previous,
        "records": row.records,
        "root": row.root,
        "key": row.key,
        "digest": queries.signed(row).seal.digest(),
        "signature": row.signature,
        "sealed_at": shapes.instant(row.sealed_at),
    }


@router.get("/resources/{resource_id}/evidence")
def evidence(
    resource_id: str,
    db: ReadDb,
    actor: SignedIn,
    settings: Configured,
    from_: Annotated[str, Query(alias="from", max_length=40)],
    to: str,
) -> Response:
    """A ZIP for `pilotbench verify-evidence`; days UTC, `to` inclusive."""
    resource = catalogue.get_visible(db, actor, resource_id)
    if not any(may(actor, one, institution_id=resource.institution_id) for one in (Action.MANAGE_DEVICES, Action.SEE_EVALUATION)):
        raise NotAllowed(action=Action.SEE_EVALUATION.value)
    return zip_of(db, archive_in(settings.data_dir), resource_id, read_day("from", from_), read_day("to", to))


def zip_of(db: Session, archive: Archive, resource_id: str, first: date, last: date) -> Response:
    """Raises: NotFound, Invalid, ArchiveUnreadable."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "evidence"
        export(db, out, archive=archive, resource_id=resource_id, first=first, last=last, longest=LONGEST_DAYS)
        content = zipped(out)
    name = f"evidence-{resource_id}-{first}-{last}.zip"
    return Response(content, media_type="application/zip", headers={"content-disposition": f'attachment; filename="{name}"'})
