"""Pages of words: errors, accessibility, licences."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ErrorView:
    """Any refusal as a page: what happened, what was kept, what to do."""

    status: int
    title: str
    text: str
    reasons: Sequence[str] = ()
    back: str | None = None
    """Where to go on: the page one came from, or search."""
    sign_in: str | None = None
    """The sign-in address that leads back here, for 401."""
    reference: str | None = None
    """What to quote to the operator, for 500."""


@dataclass(frozen=True, slots=True)
class AccessibilityView:
    """GET /{lang}/accessibility."""

    contact: str


@dataclass(frozen=True, slots=True)
class LicencesView:
    """GET /{lang}/licences: our licence and those of what the pages ship."""

    notices: str
