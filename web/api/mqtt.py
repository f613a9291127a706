"""What EMQX asks: may this login come in, and where may it write and read? (docs/emqx.md)"""

import secrets
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Request

from devices.intake.actions import store_denials
from devices.logins import Account, Admitted, Login, denial, judge
from devices.queries import was_rejected
from devices.rights import emqx_rules
from marketplace.refusals import NotFound, NotSignedIn
from marketplace.settings import Settings
from web.deps import Configured, Db, Now, ReadDb, read_body

router = APIRouter(prefix="/api/v1", tags=["devices"])
LARGEST = 4096
"""Bytes of a question: our names have 13, our secrets 32."""
BEARER = "Bearer "
PARTS = ("username", "password", "clientid")


@router.post("/mqtt/authentication", response_model=None)
def authenticate(
    request: Request, body: Annotated[bytes, Depends(read_body)], reader: ReadDb, db: Db, now: Now, settings: Configured
) -> dict[str, Any]:
    """For the broker, not for people: `allow` with every right, or `deny`; with anything but 200 it would ask somebody else."""
    check_asker(request, settings)
    login = read_login(body)
    if login is None:
        return {"result": "deny", "reason": "malformed"}
    found = judge(reader, login, account=Account(*settings.mqtt_account), now=now)
    if isinstance(found, Admitted):
        return admitted(found)
    refusal = denial(found, now)
    if not was_rejected(reader, refusal.id):
        store_denials(db, [refusal])
    return {"result": "deny", "reason": found.fault.value}


def check_asker(request: Request, settings: Settings) -> None:
    """Raises: NotFound (nobody is answered here), NotSignedIn."""
    if not settings.emqx_asks:
        raise NotFound(kind="page")
    expected = settings.emqx_secret.get_secret_value()
    told = request.headers.get("authorization", "").removeprefix(BEARER)
    if not secrets.compare_digest(told.encode(), expected.encode()):
        raise NotSignedIn


def read_login(body: bytes) -> Login | None:
    """None for what is no question of ours.

    >>> read_login(b'{"username": "k1", "password": "s", "clientid": "k1", "peerhost": "192.0.2.1"}')
    Login(name='k1', secret='s', client_id='k1')
    >>> read_login(b'{"username": "k1"}'), read_login(b"[1]"), read_login(b"{")
    (None, None, None)
    """
    if len(body) > LARGEST:
        return None
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    parts = [told.get(name) for name in PARTS] if isinstance(told, dict) else []
    texts = [part for part in parts if isinstance(part, str)]
    return Login(*texts) if len(texts) == len(PARTS) else None


def admitted(found: Admitted) -> dict[str, Any]:
    """As EMQX 5.8 and later read it: `expire_at` in whole seconds, the first fitting rule of `acl` counts."""
    until = {"expire_at": int(found.until.timestamp())} if found.until else {}
    return {"result": "allow", "is_superuser": False, **until, "acl": emqx_rules(found.key)}
