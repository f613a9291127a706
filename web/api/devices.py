"""Devices, live state, sessions and confirmed use over JSON; live changes as server-sent events."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field
from sqlalchemy.orm import Session
from starlette.responses import StreamingResponse

from booking import queries as booking
from devices import queries, what_if
from devices.codecs.families import FAMILIES
from devices.live import queries as sensing
from devices.profile import Profile, read_profile
from devices.registry import actions
from devices.registry.actions import Credentials
from devices.submeters.queries import inclusions_of
from devices.tables import ConfirmedUse, Device, RejectedMessage, UsageSession
from marketplace.catalogue import queries as catalogue
from marketplace.permissions import Action, Actor, require
from marketplace.refusals import Invalid, NotFound
from web import live
from web.api import reading, shapes
from web.api.basis import evidence_of
from web.api.bookings import read_slot
from web.deps import AnyActor, Configured, Db, Now, OneAnswer, ReadDb, SignedIn

router = APIRouter(prefix="/api/v1", tags=["devices"])


class DeviceIn(shapes.Shape):
    name: shapes.Text
    profile: shapes.Text | dict[str, Any]
    """A payload family by name, or a mapping that describes one."""
    thresholds: dict[str, float] = Field(default_factory=dict)
    measured_by: shapes.Text | None = None
    """Another device of the resource, or of a line above it, that measures all that this one does."""


class MainIn(shapes.Shape):
    measured_by: shapes.Text | None


@router.post("/resources/{resource_id}/devices", status_code=201)
def register(
    resource_id: str,
    body: DeviceIn,
    once: OneAnswer,
    db: Db,
    actor: SignedIn,
    now: Now,
    settings: Configured,
    *,
    dry_run: Annotated[bool, Query()] = False,
) -> Response:
    """With `dry_run` nothing is stored, and the answer tells how its messages would be read."""
    resource = catalogue.get_visible(db, actor, resource_id)
    require(actor, Action.MANAGE_DEVICES, institution_id=resource.institution_id)
    profile = profile_of(body)

    if dry_run:
        read = read_profile({"zone": resource.timezone, **profile})
        return once.answer(200, lambda: {**reading.shape(read), **reading.imported(body.profile)})

    def make() -> dict[str, Any]:
        row, known = actions.register_device(
            db,
            resource_id=resource_id,
            name=body.name,
            profile=profile,
            measured_by=body.measured_by,
            actor_id=actor.person_id,
            now=now,
        )
        at = connection(known, settings.mqtt_host, settings.mqtt_port)
        return {**device(db, row, now), "secret": known.secret, "mqtt": at, **reading.imported(body.profile)}

    return once.answer(201, make)


def profile_of(body: DeviceIn) -> dict[str, Any]:
    """Raises: Invalid."""
    if isinstance(body.profile, str) and body.profile not in FAMILIES:
        raise Invalid(field="profile", reason=f"unknown; known are {', '.join(sorted(FAMILIES))}")
    return {**body.thresholds, "family": body.profile}


def connection(known: Credentials, host: str, port: int) -> dict[str, Any]:
    return {"host": host, "port": port, "username": known.login, "topic": known.topic}


def device(db: Session, row: Device, now: datetime) -> dict[str, Any]:
    return _device(row, inclusions_of(db, [row.id]).of(row.id, at=now))


def _device(row: Device, measured_by: str | None) -> dict[str, Any]:
    return {
        "id": row.id,
        "key": row.key,
        "name": row.name,
        "resource_id": row.resource_id,
        "state": row.state.value,
        "last_message_at": shapes.instant(row.last_message_at),
        "measured_by": measured_by,
    }


@router.get("/resources/{resource_id}/devices")
def devices(resource_id: str, db: ReadDb, actor: SignedIn, page: shapes.Page, now: Now) -> dict[str, Any]:
    resource = catalogue.get_visible(db, actor, resource_id)
    require(actor, Action.MANAGE_DEVICES, institution_id=resource.institution_id)
    rows = queries.devices_of(db, resource_id, **page.asked)
    counts = queries.count_rejected(db, [row.key for row in rows])
    inclusions = inclusions_of(db, [row.id for row in rows])
    return page.listed(rows, lambda row: {**_device(row, inclusions.of(row.id, at=now)), "rejected": counts.get(row.key, 0)})


@router.post("/devices/{device_id}/measured-by")
def set_main(device_id: str, body: MainIn, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    """From now on that device includes what this one measures; null: no other does."""
    row = own(db, actor, device_id)

    def make() -> dict[str, Any]:
        actions.set_main(db, device_id=row.id, measured_by=body.measured_by, actor_id=actor.known_id, now=now)
        return device(db, row, now)

    return once.answer(200, make)


def known(db: Session, actor: Actor, device_id: str) -> Device:
    """Raises: NotFound (also of others' devices)."""
    row = queries.get_device(db, device_id)
    if row.institution_id not in actor.institutions() and not actor.is_operator:
        raise NotFound(kind="device")
    return row


def own(db: Session, actor: Actor, device_id: str) -> Device:
    """Raises: NotFound, NotAllowed."""
    row = known(db, actor, device_id)
    require(actor, Action.MANAGE_DEVICES, institution_id=row.institution_id)
    return row


@router.post("/devices/{device_id}/thresholds")
def set_thresholds(
    device_id: str,
    body: shapes.ThresholdsIn,
    once: OneAnswer,
    db: Db,
    actor: SignedIn,
    now: Now,
    *,
    dry_run: Annotated[bool, Query()] = False,
) -> Response:
    """From now on; with `dry_run` nothing is stored, and the answer tells what the last seven days would have been."""
    row = own(db, actor, device_id)
    values = body.model_dump(exclude_unset=True)

    def make() -> dict[str, Any]:
        if dry_run:
            return _foreseen(db, row, actions.changed_profile(db, row.id, values, now=now), now)
        return _profile(actions.set_thresholds(db, device_id=row.id, profile=values, actor_id=actor.known_id, now=now))

    return once.answer(200, make)


def _foreseen(db: Session, row: Device, profile: Profile, now: datetime) -> dict[str, Any]:
    found = what_if.foresee(db, row, profile, now=now)
    stretches = [_stretch(one) for one in found.stretches]
    sealed = [shapes.slot(one) for one in found.sealed]
    return {"thresholds": _profile(profile), "since": shapes.instant(found.since), "stretches": stretches, "sealed": sealed}


def _profile(profile: Profile) -> dict[str, Any]:
    return {name: getattr(profile, name) for name in shapes.ThresholdsIn.model_fields}


def _stretch(one: what_if.Stretch) -> dict[str, Any]:
    sides = {"now": one.now, "then": one.then}
    return {side: [{**shapes.slot(run.slot), "confirmed_s": run.confirmed_s} for run in runs] for side, runs in sides.items()}


@router.get("/devices/{device_id}/rejected")
def rejected(device_id: str, db: ReadDb, actor: SignedIn, page: shapes.Page) -> dict[str, Any]:
    row = known(db, actor, device_id)
    return page.listed(queries.rejected_of(db, row.key, **page.asked), turned_away)


def turned_away(row: RejectedMessage) -> dict[str, Any]:
    return {"topic": row.topic, "reason": row.reason, "detail": row.detail, "received_at": shapes.instant(row.received_at)}


@router.get("/resources/{resource_id}/status")
def status(resource_id: str, db: ReadDb, actor: AnyActor, now: Now) -> dict[str, Any]:
    catalogue.get_visible(db, actor, resource_id)
    return live.shape(sensing.live_states(db, [resource_id], now=now)[resource_id])


@router.get("/resources/{resource_id}/live", response_class=StreamingResponse)
def stream(resource_id: str, request: Request, db: ReadDb, actor: AnyActor) -> StreamingResponse:
    catalogue.get_visible(db, actor, resource_id)
    events: AsyncIterator[bytes] = live.events(request, [resource_id])
    return live.response(events)


@router.get("/resources/{resource_id}/sessions")
def sessions(
    resource_id: str,
    db: ReadDb,
    actor: SignedIn,
    page: shapes.Page,
    from_: Annotated[shapes.Instant, Query(alias="from")],
    to: shapes.Instant,
) -> dict[str, Any]:
    resource = catalogue.get_visible(db, actor, resource_id)
    require(actor, Action.REVIEW_USE, institution_id=resource.institution_id)
    return page.listed(queries.sessions_of_resource(db, resource_id, within=read_slot(from_, to), **page.asked), session)


def session(row: UsageSession) -> dict[str, Any]:
    return {
        "id": row.id,
        "resource_id": row.resource_id,
        "start": shapes.instant(row.starts_at),
        "end": shapes.instant(row.ends_at),
        "confirmed_s": row.confirmed_s,
        "unverified_s": row.unverified_s,
        "energy_wh": row.energy_wh,
        "grade": row.grade.value,
        "end_reason": row.end_reason.value if row.end_reason else None,
        "why": {"began": "power_or_state_on", "ended": row.end_reason.value if row.end_reason else None, "flags": row.flags},
    }


@router.get("/bookings/{booking_id}/use")
def use(booking_id: str, db: ReadDb, actor: SignedIn) -> dict[str, Any]:
    row = booking.get_booking_for(db, actor, booking_id)
    found = queries.use_of_booking(db, row.id)
    return _undecided(row.slot.seconds) if found is None else {**_use(found), "evidence": evidence_of(db, row, found)}


def _undecided(booked_s: int) -> dict[str, Any]:
    return {"booked_s": booked_s, "confirmed_s": None, "unverified_s": None, "overrun_s": None, "verdict": None}


def _use(row: ConfirmedUse) -> dict[str, Any]:
    return {
        "booked_s": row.booked_s,
        "confirmed_s": row.confirmed_s,
        "unverified_s": row.unverified_s,
        "overrun_s": row.overrun_s,
        "early_s": row.early_s,
        "fault_s": row.fault_s,
        "attested_s": row.attested_s,
        "energy_wh": row.energy_wh,
        "grade": row.grade.value if row.grade else None,
        "verdict": row.verdict.value,
        "number": row.number,
        "pieces": row.pieces,
    }
