"""Writes of devices: registering gives key, secret and topic; thresholds are effective-dated."""

import base64
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import delete
from sqlalchemy.orm import Session

from devices import queries
from devices.certificates import Authority, Issued
from devices.codecs.families import FAMILIES
from devices.profile import Profile, read_profile
from devices.rights import login_name
from devices.submeters import actions as submeters
from devices.tables import Device, DeviceCertificate, DeviceState, OldSecret, Thresholds
from marketplace import audit
from marketplace.catalogue import queries as catalogue
from marketplace.ids import new_id
from marketplace.people.text import clean
from marketplace.refusals import Invalid, NotFound, WrongState

ITERATIONS = 101  # the broker's own default; the secret has 192 random bits, nothing to guess
SALT_BYTES = 12


@dataclass(frozen=True, slots=True)
class Credentials:
    """What is typed into the device; the secret is shown once."""

    key: str
    secret: str
    topic: str
    login: str
    """The user name."""


def broker_hash(secret: str) -> str:
    """The broker's password format: $7$iterations$salt$hash, PBKDF2 with SHA-512 (mosquitto_passwd)."""
    salt = secrets.token_bytes(SALT_BYTES)
    found = hashlib.pbkdf2_hmac("sha512", secret.encode(), salt, ITERATIONS)
    return f"$7${ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(found).decode()}"


def topic_of(key: str, family: str) -> str:
    """Where the device publishes: its own branch, or where the standard of its family puts it."""
    return FAMILIES[family].publishes.replace("{key}", key) if family in FAMILIES else f"d/{key}/#"


def register_device(
    session: Session,
    *,
    resource_id: str,
    name: str,
    profile: Mapping[str, Any],
    measured_by: str | None = None,
    actor_id: str | None,
    now: datetime,
) -> tuple[Device, Credentials]:
    """A new device on a resource with its credentials. `measured_by` is the meter that includes what it measures.

    Raises: NotFound, Invalid.
    """
    resource = catalogue.get_resource(session, resource_id)
    read = read_profile({"zone": resource.timezone, **profile})
    key, secret = "k" + secrets.token_hex(6), secrets.token_urlsafe(24)
    row = Device(
        id=new_id("dev"),
        key=key,
        resource_id=resource_id,
        institution_id=resource.institution_id,
        name=clean(name, field="name"),
        secret_hash=broker_hash(secret),
        state=DeviceState.ACTIVE,
        created_at=now,
    )
    session.add(row)
    session.flush()
    _add_thresholds(session, row, read, actor_id, now, now)
    if measured_by is not None:
        submeters.include(session, device=row, measured_by=measured_by, actor_id=actor_id, now=now)
    main = {"measured_by": measured_by} if measured_by is not None else {}
    note(session, row, "register", actor_id, {"name": row.name, "key": key, "family": read.family, **main}, now)
    return row, Credentials(key, secret, topic_of(key, read.family), key)


HOUR = timedelta(hours=1)
LONGEST_OVERLAP = timedelta(days=30)
AT_ONCE = timedelta(0)
MOST_SECOND = 2000
"""Devices that log in by their second names. Mosquitto reads rules in a time that grows with their square, 0.7 s of these."""


class Beside(StrEnum):
    """How a secret counts beside the one before it."""

    SAME_NAME = "same_name"
    """With a broker that asks each time."""
    OTHER_NAME = "other_name"
    """With one that has them in a file, a line a name: the new one belongs to the other of the device's two names."""


def new_secret(
    session: Session,
    *,
    device_id: str,
    overlap: timedelta = AT_ONCE,
    beside: Beside = Beside.OTHER_NAME,
    actor_id: str,
    now: datetime,
) -> Credentials:
    """Replace the secret; the old one goes on for `overlap`. What was revoked does not come back.

    Raises: NotFound, Invalid (overlap).
    """
    if not AT_ONCE <= overlap <= LONGEST_OVERLAP:
        raise Invalid(field="overlap_hours", reason="must be {low} to {high}", low=0, high=LONGEST_OVERLAP // HOUR)
    row = queries.lock_device(session, device_id)
    _end_old_secret(session, row)
    goes_on = overlap > AT_ONCE and row.state is DeviceState.ACTIVE
    if goes_on:
        old = OldSecret(device_id=row.id, secret_hash=row.secret_hash, login_number=row.login_number, ends_at=now + overlap)
        session.add(old)
        row.login_number = _other_number(session, row) if beside is Beside.OTHER_NAME else row.login_number
    secret = secrets.token_urlsafe(24)
    row.secret_hash, row.state, row.revoked_at = broker_hash(secret), DeviceState.ACTIVE, None
    row.access_version += 1
    session.flush()
    until = {"old_until": (now + overlap).isoformat()} if goes_on else {}
    note(session, row, "new_secret", actor_id, {"key": row.key, **until}, now)
    topic = topic_of(row.key, queries.profile_of(session, device_id, at=now).family)
    return Credentials(row.key, secret, topic, login_name(row.key, row.login_number))


def _other_number(session: Session, device: Device) -> int:
    """Raises: Invalid (too many have their second name)."""
    if device.login_number != 1:
        return 1
    if queries.second_names(session) >= MOST_SECOND:
        reason = "is not possible: {most} devices log in by their second name; leave it out, or use certificates"
        raise Invalid(field="overlap_hours", reason=reason, most=MOST_SECOND)
    return 2


MOST_CERTIFICATES = 5
"""Of a device that count at once: two while one takes over from the other, and some for those that got lost."""


def new_certificate(session: Session, authority: Authority, *, device_id: str, actor_id: str, now: datetime) -> Issued:
    """One more by which the device may connect; those that it has go on. Raises: NotFound, WrongState (revoked, too many)."""
    row = queries.lock_device(session, device_id)
    if row.state is DeviceState.REVOKED:
        raise WrongState(state="revoked", move="certify")
    counting = [one for one in queries.certificates_of(session, device_id) if one.revoked_at is None and one.expires_at > now]
    if len(counting) >= MOST_CERTIFICATES:
        raise Invalid(field="device", reason="has {most} certificates that count: revoke one first", most=MOST_CERTIFICATES)
    made = authority.for_device(row.key, now=now)
    session.add(DeviceCertificate(serial=made.serial, device_id=row.id, issued_at=now, expires_at=made.expires_at))
    note(session, row, "new_certificate", actor_id, {"serial": made.serial}, now)
    return made


def revoke_certificate(session: Session, *, device_id: str, serial: str, actor_id: str, now: datetime) -> DeviceCertificate:
    """It no longer counts from the broker's next look on. Raises: NotFound."""
    row = queries.lock_device(session, device_id)
    found = session.get(DeviceCertificate, serial)
    if found is None or found.device_id != row.id:
        raise NotFound(kind="certificate")
    if found.revoked_at is None:
        found.revoked_at = now
        note(session, row, "revoke_certificate", actor_id, {"serial": serial}, now)
    return found


def revoke(session: Session, *, device_id: str, actor_id: str, now: datetime) -> Device:
    """The device may no longer connect, by whatever it has; what it said stays. Raises: NotFound."""
    row = queries.lock_device(session, device_id)
    row.state, row.revoked_at = DeviceState.REVOKED, now
    row.access_version += 1
    _end_old_secret(session, row)
    for one in queries.certificates_of(session, device_id):
        one.revoked_at = one.revoked_at or now
    session.flush()
    note(session, row, "revoke", actor_id, {"key": row.key}, now)
    return row


def _end_old_secret(session: Session, device: Device) -> None:
    session.execute(delete(OldSecret).where(OldSecret.device_id == device.id))


def set_thresholds(session: Session, *, device_id: str, profile: Mapping[str, Any], actor_id: str, now: datetime) -> Profile:
    """From now on samples are read with these. Raises: NotFound, Invalid."""
    return _set(session, "set_thresholds", device_id, profile, actor_id, now)


def set_profile(session: Session, *, device_id: str, profile: Mapping[str, Any], actor_id: str, now: datetime) -> Profile:
    """From now on its messages are read so: family or mapping, zone, trust in its clock. Raises: NotFound, Invalid."""
    return _set(session, "set_profile", device_id, profile, actor_id, now)


def _set(session: Session, action: str, device_id: str, profile: Mapping[str, Any], actor_id: str, now: datetime) -> Profile:
    row = queries.lock_device(session, device_id)  # one form changes thresholds, another the reading: neither undoes the other
    read = changed_profile(session, device_id, profile, now=now)
    _add_thresholds(session, row, read, actor_id, now, now)
    note(session, row, action, actor_id, asdict(read), now)
    return read


def set_main(session: Session, *, device_id: str, measured_by: str | None, actor_id: str, now: datetime) -> None:
    """From now on that meter includes what this one measures; with None no other does. Raises: NotFound, Invalid."""
    row = queries.get_device(session, device_id)
    if submeters.include(session, device=row, measured_by=measured_by, actor_id=actor_id, now=now):
        note(session, row, "set_main_meter" if measured_by else "drop_main_meter", actor_id, {"measured_by": measured_by}, now)


def changed_profile(session: Session, device_id: str, profile: Mapping[str, Any], *, now: datetime) -> Profile:
    """The thresholds in force with those of `profile` in their place. Raises: NotFound, Invalid."""
    changed = {**asdict(queries.profile_of(session, device_id, at=now)), **profile}
    return read_profile({name: value for name, value in changed.items() if value is not None})


def _add_thresholds(
    session: Session, device: Device, profile: Profile, actor_id: str | None, valid_from: datetime, now: datetime
) -> None:
    session.add(
        Thresholds(
            id=new_id("thr"),
            device_id=device.id,
            valid_from=valid_from,
            profile=asdict(profile),
            created_at=now,
            created_by=actor_id,
        )
    )
    session.flush()


def note(session: Session, device: Device, action: str, actor_id: str | None, after: dict[str, Any], now: datetime) -> None:
    """On the record of a device."""
    audit.record(
        session,
        actor_id=actor_id,
        action=action,
        object_kind="device",
        object_id=device.id,
        institution_id=device.institution_id,
        before=None,
        after=after,
        now=now,
    )
