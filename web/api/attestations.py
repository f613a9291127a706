"""Statements of use over JSON: what both sides say of a booking where the meter was silent, with a document."""

import base64
import binascii
from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import Field
from sqlalchemy.orm import Session

from devices import confirming
from devices.attestations import queries
from devices.attestations.actions import Wish
from devices.attestations.documents import LARGEST, MEDIA
from devices.attestations.statements import MOST_STRETCHES, Side
from devices.attestations.tables import Attestation
from marketplace.permissions import Actor
from marketplace.refusals import Invalid
from web import attesting
from web.api import shapes
from web.api.bookings import read_slot
from web.deps import Db, Now, OneAnswer, ReadDb, SignedIn

router = APIRouter(prefix="/api/v1", tags=["devices"])
SANDBOX = "sandbox; default-src 'none'"


class StretchIn(shapes.Shape):
    start: shapes.Instant
    end: shapes.Instant


class StatementIn(shapes.Shape):
    """When it was used, or that it was not used at all; the document, base64, is a PDF, PNG or JPEG."""

    stretches: Annotated[tuple[StretchIn, ...], Field(max_length=MOST_STRETCHES)] = ()
    unused: shapes.Flag = False
    side: Side | None = None
    note: Annotated[str, Field(max_length=1000)] | None = None
    document: Annotated[str, Field(min_length=1, max_length=(LARGEST + 2) // 3 * 4)]


class DeclineIn(shapes.Shape):
    reason: shapes.Prose


@router.get("/bookings/{booking_id}/attestations")
def attestations(booking_id: str, db: ReadDb, actor: SignedIn) -> dict[str, Any]:
    """Newest first, with the stretches in which the meter is silent: only of them something can be stated."""
    row = queries.get_booking_for(db, actor, booking_id)
    silent = [shapes.slot(one) for one in confirming.silent(db, row)]
    sides = sorted(side.value for side in queries.sides_of(actor, row))
    return {"items": [shape(one) for one in queries.attestations_of(db, row.id)], "silent": silent, "sides": sides}


@router.post("/bookings/{booking_id}/attestations", status_code=201)
def state(booking_id: str, body: StatementIn, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    booking = queries.get_booking_for(db, actor, booking_id)
    wish = Wish(
        side=attesting.side_for(actor, booking, body.side),
        stretches=[read_slot(one.start, one.end, f"stretches.{number}.end") for number, one in enumerate(body.stretches)],
        unused=body.unused,
        document=_decoded(body.document),
        note=body.note,
    )
    return once.answer(201, lambda: shape(attesting.state(db, actor=actor, booking=booking, wish=wish, now=now)))


def _decoded(text: str) -> bytes:
    """Raises: Invalid."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise Invalid(field="document", reason="is not base64") from error


@router.post("/attestations/{attestation_id}/sign")
def sign(attestation_id: str, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    queries.get_attestation_for(db, actor, attestation_id)
    return once.answer(200, lambda: shape(attesting.sign(db, actor=actor, attestation_id=attestation_id, now=now)))


@router.post("/attestations/{attestation_id}/decline")
def decline(attestation_id: str, body: DeclineIn, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    queries.get_attestation_for(db, actor, attestation_id)

    def make() -> dict[str, Any]:
        return shape(attesting.decline(db, actor=actor, attestation_id=attestation_id, reason=body.reason, now=now))

    return once.answer(200, make)


@router.post("/attestations/{attestation_id}/withdraw")
def withdraw(attestation_id: str, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    queries.get_attestation_for(db, actor, attestation_id)
    return once.answer(200, lambda: shape(attesting.withdraw(db, actor=actor, attestation_id=attestation_id, now=now)))


@router.get("/attestations/{attestation_id}/document")
def document(attestation_id: str, db: ReadDb, actor: SignedIn) -> Response:
    """To be saved, never opened in the place of a page."""
    return download(db, actor, attestation_id)


def download(db: Session, actor: Actor, attestation_id: str) -> Response:
    """Raises: NotFound."""
    row, _ = queries.get_attestation_for(db, actor, attestation_id)
    found = queries.document_of(db, row)
    name = f"{row.id}.{found.kind.value}"
    headers = {"content-disposition": f'attachment; filename="{name}"', "content-security-policy": SANDBOX}
    return Response(found.content, media_type=MEDIA[found.kind], headers=headers)


def shape(row: Attestation) -> dict[str, Any]:
    return {
        "id": row.id,
        "booking_id": row.booking_id,
        "number": row.number,
        "side": row.side.value,
        "state": row.state.value,
        "unused": not row.stretches,
        "stretches": row.stretches,
        "note": row.note,
        "document": {"sha256": row.document_digest, "path": f"/api/v1/attestations/{row.id}/document"},
        "stated_by": row.stated_by,
        "stated_at": shapes.instant(row.stated_at),
        "answered_by": row.answered_by,
        "answered_at": shapes.instant(row.answered_at),
        "reason": row.reason,
    }
