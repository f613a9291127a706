"""Merkle trees of RFC 6962 over SHA-256: one digest for many leaves, and a short proof that a leaf is among them."""

from collections.abc import Sequence
from hashlib import sha256

LEAF, NODE = b"\0", b"\1"
"""Before what is hashed, so that no node can pass for a leaf."""


def leaf(content: bytes) -> bytes:
    return sha256(LEAF + content).digest()


def node(left: bytes, right: bytes) -> bytes:
    return sha256(NODE + left + right).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """Of hashed leaves, in their order.

    >>> root([]).hex()[:16]
    'e3b0c44298fc1c14'
    >>> root([leaf(b"a"), leaf(b"b"), leaf(b"c")]) == node(node(leaf(b"a"), leaf(b"b")), leaf(b"c"))
    True
    """
    if not leaves:
        return sha256().digest()
    level = list(leaves)
    while len(level) > 1:
        level = _above(level)
    return level[0]


def _above(level: Sequence[bytes]) -> list[bytes]:
    """Pairs become nodes; one that is left over rises as it is, which makes the tree of the RFC."""
    paired = [node(level[place], level[place + 1]) for place in range(0, len(level) - 1, 2)]
    return [*paired, level[-1]] if len(level) % 2 else paired


def path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """What stands beside the way from a leaf up to the root: its inclusion proof. Raises: IndexError."""
    if not 0 <= index < len(leaves):
        raise IndexError(index)
    found, level = [], list(leaves)
    while len(level) > 1:
        if index ^ 1 < len(level):
            found.append(level[index ^ 1])
        level, index = _above(level), index // 2
    return found


def root_by(path: Sequence[bytes], found: bytes, *, index: int, size: int) -> bytes | None:
    """The root that a proof leads to from the hashed leaf at `index` of `size`; None where it is no proof for that place.

    >>> leaves = [leaf(bytes([number])) for number in range(5)]
    >>> root_by(path(leaves, 4), leaves[4], index=4, size=5) == root(leaves)
    True
    >>> root_by([], leaves[4], index=4, size=5)
    """
    steps = list(reversed(path))
    if not 0 <= index < size:
        return None
    while size > 1:
        if index ^ 1 < size:
            if not steps:
                return None
            beside = steps.pop()
            found = node(beside, found) if index % 2 else node(found, beside)
        index, size = index // 2, (size + 1) // 2
    return None if steps else found


def split(leaves: bytes) -> list[bytes]:
    """Hashed leaves that were kept one behind the other."""
    size = sha256().digest_size
    return [leaves[place : place + size] for place in range(0, len(leaves), size)]
