"""All meters of an institution, or of all: how many do well, which do not."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from web.views.frame import ONE_PAGE, Choice, Paging


@dataclass(frozen=True, slots=True)
class MeterRow:
    """One meter. `marks`: codes of web.labels FLEET beside its signal."""

    id: str
    name: str
    key: str
    resource_id: str
    resource: str
    institution_id: str
    institution: str
    zone: str
    signal: str
    last_message_at: datetime | None
    marks: Sequence[str]
    rejected_at: datetime | None
    """When something of it was turned away last."""
    certificate_ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class FleetView:
    """GET /{lang}/operator/fleet and /{lang}/desk/fleet."""

    everywhere: bool
    """Of all institutions, for the operator."""
    institution: str
    """Its name; empty where none was chosen."""
    institution_id: str
    institutions: Sequence[Choice]
    which: str
    counts: Sequence[tuple[str, int, str]]
    """(code of web.labels FLEET, how many, address of those)."""
    rows: Sequence[MeterRow]
    csv_url: str
    menu: Sequence[str] = ()
    paging: Paging = ONE_PAGE
