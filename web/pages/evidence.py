"""Evidence: the seals for everybody, and a resource's messages and proofs for those who work there."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from devices.archive.files import archive_in
from marketplace.permissions import Action
from web.api.evidence import zip_of
from web.deps import Configured, ReadDb, SignedIn
from web.evidence import read_day
from web.pages.desk import own_resource
from web.pages.drawing import Drawing
from web.present import evidence

router = APIRouter(prefix="/{lang}")


@router.get("/evidence")
def page(pen: Drawing, db: ReadDb, before: Annotated[int | None, Query(ge=1, le=10**9)] = None) -> Response:
    return pen.page("evidence.html", evidence.seals(db, before=before))


@router.get("/desk/resources/{resource_id}/evidence")
def download(
    resource_id: str,
    db: ReadDb,
    actor: SignedIn,
    settings: Configured,
    first: Annotated[str, Query(max_length=40)],
    last: Annotated[str, Query(max_length=40)],
) -> Response:
    own_resource(db, actor, resource_id, Action.MANAGE_DEVICES)
    return zip_of(db, archive_in(settings.data_dir), resource_id, read_day("from", first), read_day("to", last))
