"""Random secrets and their hashes; passwords by argon2, two at a time, so that sign-ins cannot eat the machine."""

import hashlib
import secrets
import threading
from functools import cache

from pwdlib import PasswordHash

SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 200
TOKEN_PREFIX = "pb_"
_PERMITS = threading.BoundedSemaphore(2)  # argon2 takes 64 MiB and 0.2 s each
_HASHER = PasswordHash.recommended()


def new_secret() -> str:
    """256 bits, URL-safe."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """What is stored of a random secret: SHA-256 in hex."""
    return hashlib.sha256(secret.encode()).hexdigest()


def hash_password(password: str) -> str:
    with _PERMITS:
        return _HASHER.hash(password)


def check_password(password: str, stored: str | None) -> bool:
    """Takes as long for an account without a password as for one with."""
    with _PERMITS:
        return _HASHER.verify(password, stored or _nobodys()) and stored is not None


@cache
def _nobodys() -> str:
    """The hash of a password that nobody has; made when first needed, so that no command waits for it."""
    return _HASHER.hash(secrets.token_urlsafe(16))
