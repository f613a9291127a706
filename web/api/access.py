"""How a device may connect, over JSON: its secret and its certificates, made anew and taken back."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import Field

from devices import queries
from devices.certificates import read_authority
from devices.registry import actions
from devices.tables import DeviceCertificate
from marketplace.refusals import Invalid
from marketplace.settings import Settings
from web.api import shapes
from web.api.devices import connection, device, own
from web.deps import Configured, Db, Now, OneAnswer, ReadDb, SignedIn

router = APIRouter(prefix="/api/v1", tags=["devices"])


class SecretIn(shapes.Shape):
    overlap_hours: Annotated[int, Field(ge=0, le=actions.LONGEST_OVERLAP // actions.HOUR)] = 0
    """For how long the present one goes on beside the new one."""


@router.post("/devices/{device_id}/secret")
def new_secret(
    device_id: str, once: OneAnswer, db: Db, actor: SignedIn, now: Now, settings: Configured, body: SecretIn | None = None
) -> Response:
    """The present one ends, at once or after `overlap_hours`; a device that was revoked may speak again with the new one, which
    is told once. Both count at once under one user name where EMQX asks, else the new one comes with a user name of its own."""
    row = own(db, actor, device_id)
    overlap = timedelta(hours=body.overlap_hours if body else 0)

    def make() -> dict[str, Any]:
        known = actions.new_secret(
            db, device_id=row.id, overlap=overlap, beside=beside_of(settings), actor_id=actor.known_id, now=now
        )
        old = queries.find_old_secret(db, row.id, at=now)
        until = {"old_secret_until": shapes.instant(old.ends_at if old else None)}
        return {
            **device(db, row, now),
            **until,
            "secret": known.secret,
            "mqtt": connection(known, settings.mqtt_host, settings.mqtt_port),
        }

    return once.answer(200, make, told_once=("secret",))


def beside_of(settings: Settings) -> actions.Beside:
    """As the broker takes it."""
    return actions.Beside.SAME_NAME if settings.emqx_asks else actions.Beside.OTHER_NAME


@router.post("/devices/{device_id}/revoke")
def revoke(device_id: str, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    """By whatever it has, it may not connect any more."""
    row = own(db, actor, device_id)
    return once.answer(200, lambda: device(db, actions.revoke(db, device_id=row.id, actor_id=actor.known_id, now=now), now))


@router.get("/devices/{device_id}/certificates")
def certificates(device_id: str, db: ReadDb, actor: SignedIn) -> dict[str, Any]:
    row = own(db, actor, device_id)
    return {"items": [certificate(one) for one in queries.certificates_of(db, row.id)], "next_cursor": None}


@router.post("/devices/{device_id}/certificates", status_code=201)
def new_certificate(device_id: str, once: OneAnswer, db: Db, actor: SignedIn, now: Now, settings: Configured) -> Response:
    """One more; its key is told once. Those that the device has go on until they are revoked, so that one takes over in peace."""
    row = own(db, actor, device_id)
    if not settings.mqtt_certificate_port:
        raise Invalid(field="device", reason="certificates are not taken: the platform has no PILOTBENCH_MQTT_CERTIFICATE_PORT")

    def make() -> dict[str, Any]:
        authority = read_authority(settings.data_dir, now=now)
        made = actions.new_certificate(db, authority, device_id=row.id, actor_id=actor.known_id, now=now)
        return {
            "serial": made.serial,
            "certificate": made.certificate,
            "key": made.key,
            "authority": authority.pem,
            "expires_at": shapes.instant(made.expires_at),
            "mqtt": {"host": settings.mqtt_host, "port": settings.mqtt_certificate_port, "client_id": row.key},
        }

    return once.answer(201, make, told_once=("key",))


@router.post("/devices/{device_id}/certificates/{serial}/revoke")
def revoke_certificate(device_id: str, serial: str, once: OneAnswer, db: Db, actor: SignedIn, now: Now) -> Response:
    """From the broker's next look on, seconds later, it does not count; who was connected by it is put out."""
    row = own(db, actor, device_id)

    def make() -> dict[str, Any]:
        return certificate(actions.revoke_certificate(db, device_id=row.id, serial=serial, actor_id=actor.known_id, now=now))

    return once.answer(200, make)


def certificate(row: DeviceCertificate) -> dict[str, Any]:
    return {
        "serial": row.serial,
        "issued_at": shapes.instant(row.issued_at),
        "expires_at": shapes.instant(row.expires_at),
        "revoked_at": shapes.instant(row.revoked_at),
    }
