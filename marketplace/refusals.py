"""Every expected "no" of the product: a code and values. Status and words are given in web/refusals.py."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from marketplace.slot import Slot


class Refusal(Exception):
    """An expected "no". `code` is stable; `values` are JSON-ready and fill the sentence web/ writes."""

    code = "refused"

    def __init__(self, **values: Any) -> None:
        super().__init__(f"{self.code} {values}" if values else self.code)
        self.values: Mapping[str, Any] = values


class NotFound(Refusal):
    """It does not exist, or the actor may not know of it. `kind` names what was asked for."""

    code = "not_found"


class NotAllowed(Refusal):
    """The actor knows of the thing but may not do this. `action` names what."""

    code = "not_allowed"


class NotSignedIn(Refusal):
    code = "not_signed_in"


class Busy(Refusal):
    """A lock, or one's turn, was not had in time; nothing was done."""

    code = "busy"


class Stale(Refusal):
    """The version the actor edited is not the present one. `version` is."""

    code = "stale"


class WrongState(Refusal):
    """The move is not in the table of moves. `state` is the present one, `move` the one asked for."""

    code = "wrong_state"


class Invalid(Refusal):
    """A value that no rule of the form can catch. `field` names it, `reason` says why, with {names} of further values."""

    code = "invalid"


class TooMany(Refusal):
    """A limit in time. `retry_after_s` says when to come back."""

    code = "too_many_requests"


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason of several: a rule's code, its values, and which roles may override it."""

    code: str
    values: Mapping[str, Any] = field(default_factory=dict)
    override_by: Sequence[str] = ()


class Refused(Refusal):
    """A person must mend it, so all reasons come at once, with the busy intervals and the way out."""

    code = "refused_by_rules"

    def __init__(self, reasons: Sequence[Reason], conflicts: Sequence[Slot] = (), alternatives: Sequence[Slot] = ()) -> None:
        super().__init__(reasons=[reason.code for reason in reasons])
        self.reasons = tuple(reasons)
        self.conflicts = tuple(conflicts)
        self.alternatives = tuple(alternatives)
