"""The document beside a statement: known by its bytes, whatever its name says, and bounded."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from marketplace.refusals import Invalid

LARGEST = 5 * 1024 * 1024
"""Bytes."""
TAIL = 2048
"""Bytes at the end in which a document's own end mark is looked for."""


class DocumentKind(StrEnum):
    PDF = "pdf"
    PNG = "png"
    JPEG = "jpeg"


MARKS = {
    DocumentKind.PDF: (b"%PDF-", b"%%EOF"),
    DocumentKind.PNG: (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", b"IEND\xaeB`\x82"),
    DocumentKind.JPEG: (b"\xff\xd8\xff", b"\xff\xd9"),
}
"""How each begins and how it ends."""

MEDIA = {DocumentKind.PDF: "application/pdf", DocumentKind.PNG: "image/png", DocumentKind.JPEG: "image/jpeg"}


@dataclass(frozen=True, slots=True)
class Paper:
    """A document that was read; `digest` (SHA-256, hexadecimal) is its name."""

    digest: str
    kind: DocumentKind
    content: bytes


def read_document(content: bytes) -> Paper:
    """Raises: Invalid (empty, too large, cut off, or none of the three kinds)."""
    if not content:
        raise Invalid(field="document", reason="is missing")
    if len(content) > LARGEST:
        raise Invalid(field="document", reason="is larger than {most} MiB", most=LARGEST >> 20)
    kind = next((one for one, (head, _) in MARKS.items() if content.startswith(head)), None)
    if kind is None:
        raise Invalid(field="document", reason="is no PDF, PNG or JPEG")
    if MARKS[kind][1] not in content[-TAIL:]:
        raise Invalid(field="document", reason="is cut off: its end is missing")
    return Paper(hashlib.sha256(content).hexdigest(), kind, content)
