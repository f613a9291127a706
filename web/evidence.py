"""Evidence on the command line: days as typed, and what a check found in words."""

from datetime import date
from typing import Any

from marketplace.refusals import Invalid
from web.deps import read_date


def read_day(field: str, text: str) -> date:
    """Raises: Invalid, naming the field."""
    if (found := read_date(field, text)) is None:
        raise Invalid(field=field, reason="not a date such as 2026-03-10")
    return found


def evidence_text(found: dict[str, Any]) -> str:
    counts = f"{found['messages']} messages, {found['sessions']} sessions, {found['seals']} seals"
    if found["problems"]:
        return "\n".join([*found["problems"], f"{counts} were read; {len(found['problems'])} problems."])
    told = [
        f"{counts}: everything agrees.",
        f"Claimed from {found['since']} to {found['until']}",
        f"Last seal {found['last_seal']}",
    ]
    return "\n".join([*told, *(f"Signed by {key}" for key in found["keys"])])
