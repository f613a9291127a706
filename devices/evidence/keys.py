"""The key that signs the evidence: Ed25519, from the settings or a file of its own."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from devices.evidence.records import FIRST, Seal, SignedSeal
from marketplace.kept import kept
from marketplace.refusals import Invalid

SEED_BYTES = 32


@dataclass(frozen=True, slots=True)
class Signer:
    private: Ed25519PrivateKey

    @property
    def key(self) -> str:
        """The public one, hexadecimal."""
        return self.private.public_key().public_bytes_raw().hex()

    def sign(self, seal: Seal) -> str:
        """Hexadecimal."""
        return self.private.sign(seal.body()).hex()


def read_signer(seed: str, file: Path) -> Signer:
    """By the seed in hexadecimal, else by the file, which is made where there is none. Raises: Invalid, OSError."""
    if not seed.strip():
        seed = kept(file, lambda: os.urandom(SEED_BYTES).hex())
    try:
        return Signer(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed.strip())))
    except ValueError as error:
        raise Invalid(field="evidence_key", reason="must be 64 hexadecimal digits") from error


def is_signed(seal: Seal, signature: str) -> bool:
    """Whether the key that the seal names signed it."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(seal.key)).verify(bytes.fromhex(signature), seal.body())
    except (InvalidSignature, ValueError):
        return False
    return True


def broken(seals: Sequence[SignedSeal]) -> Iterator[str]:
    """Where the chain from the first seal on is not what it should be, a sentence each; behind a gap nothing is told."""
    before = FIRST
    for number, one in enumerate(seals, start=1):
        seal = one.seal
        if seal.number != number:
            yield f"seal {number} is missing: {seal.number} stands in its place"
            return
        if seal.previous != before:
            yield f"seal {number} of {seal.day} is not tied to the one before it"
        if not is_signed(seal, one.signature):
            yield f"seal {number} of {seal.day} is not signed by the key it names"
        before = seal.digest()
