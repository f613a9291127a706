"""Whether a login may come in, for a broker that asks each time; what Mosquitto reads from its files is the same.

A wrong secret is not punished with waiting: the secret has 192 random bits, and whoever knows a device's name could keep it
out by guessing. What is bounded is how often a refusal is stored.
"""

import hashlib
import secrets
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy.orm import Session

from devices import queries
from devices.broker import NAME, matches
from devices.denials import Denial
from devices.readings import Reason
from devices.rights import key_of, login_name
from devices.tables import Device, DeviceState

LASTS = timedelta(hours=12)
"""How long an answer holds. The broker keeps who is connected until then, so it is also how long a revoked one may stay."""
STAGGER_S = 3600
"""So that those who came together, after the broker's own start, do not all have to come again in the same second."""
COUNTED_EVERY_S = 10
"""Refusals of one name within as many seconds are stored as one."""


@dataclass(frozen=True, slots=True)
class Login:
    name: str
    secret: str
    client_id: str


@dataclass(frozen=True, slots=True)
class Account:
    """The one that ingest uses; with an empty secret it may not come in."""

    name: str
    secret: str


class Fault(StrEnum):
    WRONG_LOGIN = "wrong_login"
    REVOKED = "revoked"
    CLIENT_ID = "client_id"


DETAILS = {
    Fault.WRONG_LOGIN: "the broker knows no such name and secret",
    Fault.REVOKED: "the device is revoked",
    Fault.CLIENT_ID: "the client id must be the device's key or user name",
}


@dataclass(frozen=True, slots=True)
class Admitted:
    """`key` of the device, None for ingest; `until` when it must log in anew, None for never."""

    key: str | None
    until: datetime | None


@dataclass(frozen=True, slots=True)
class TurnedAway:
    fault: Fault
    key: str
    """Of the device that has the name, else empty."""


def judge(session: Session, login: Login, *, account: Account, now: datetime) -> Admitted | TurnedAway:
    """Who logs in takes over the session of its client id, so that must be its own: the name, as it is with Mosquitto, or the
    device's key."""
    if login.name == account.name:
        return _judge_ingest(login, account)
    key = key_of(login.name)
    row = queries.devices_by_key(session, [key]).get(key) if NAME.match(login.name) else None
    if row is None:
        return TurnedAway(Fault.WRONG_LOGIN, "")
    if row.state is DeviceState.REVOKED:
        return TurnedAway(Fault.REVOKED, row.key)
    counting = _secrets(session, row, now)
    ends = [ends_at for name, hashed, ends_at in counting if name == login.name and matches(hashed, login.secret)]
    if not ends:
        return TurnedAway(Fault.WRONG_LOGIN, row.key)
    if login.client_id not in {row.key, login.name}:
        return TurnedAway(Fault.CLIENT_ID, row.key)
    again = now + LASTS - timedelta(seconds=zlib.crc32(row.key.encode()) % STAGGER_S)
    return Admitted(row.key, min(ends[0] or again, again))


def _judge_ingest(login: Login, account: Account) -> Admitted | TurnedAway:
    if not account.secret or not secrets.compare_digest(login.secret.encode(), account.secret.encode()):
        return TurnedAway(Fault.WRONG_LOGIN, "")
    return Admitted(None, None) if login.client_id == account.name else TurnedAway(Fault.CLIENT_ID, "")


def _secrets(session: Session, row: Device, now: datetime) -> Sequence[tuple[str, str, datetime | None]]:
    """Names with the hashes that count now, the present one first, each with when it ends."""
    old = queries.find_old_secret(session, row.id, at=now)
    before = [(login_name(row.key, old.login_number), old.secret_hash, old.ends_at)] if old else []
    return [(login_name(row.key, row.login_number), row.secret_hash, None), *before]


def denial(found: TurnedAway, now: datetime) -> Denial:
    """As the broker's own log would have told it, for the device's page."""
    told = f"login {found.key} {found.fault} {int(now.timestamp()) // COUNTED_EVERY_S}"
    name = "rej_" + hashlib.sha256(told.encode()).hexdigest()[:32]
    return Denial(name, Reason.WRONG_LOGIN, found.key, "", 0, now, DETAILS[found.fault])
