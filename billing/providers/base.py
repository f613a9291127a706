"""What billing asks of a provider and what it may answer: facts, or one of four troubles."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from billing.tables import Operation, PaymentState


class Trouble(Exception):
    """A call did not end with a fact."""


class NoAnswer(Trouble):
    """Nothing came back: whether the call was carried out is unknown."""


class Broken(Trouble):
    """The provider answered with a fault of its own; it may repeat that answer for the same key for ever."""


class Declined(Trouble):
    """The payer's bank said no; asking again is of no use."""


class Rejected(Trouble):
    """The provider finds the request wrong; a person must look."""


@dataclass(frozen=True, slots=True)
class Call:
    """One intention, taken out of the database so that no transaction is open while the provider is asked."""

    id: str
    key: str
    operation: Operation
    parameters: Mapping[str, Any]
    object_id: str | None
    customer_id: str | None
    method_id: str | None
    attempts: int
    generation: int
    first_called_at: datetime
    called_at: datetime

    @property
    def idempotency_key(self) -> str:
        return f"{self.key}:g{self.generation}"


@dataclass(frozen=True, slots=True)
class PaymentFact:
    """A payment as the provider has it; amounts in minor units."""

    object_id: str
    state: PaymentState
    authorised_minor: int
    captured_minor: int
    refunded_minor: int
    fee_minor: int
    charge_id: str | None
    customer_id: str | None
    method_id: str | None
    capture_before: datetime | None


@dataclass(frozen=True, slots=True)
class TransferFact:
    """A transfer to an institution as the provider has it."""

    object_id: str
    amount_minor: int


Fact = PaymentFact | TransferFact


@dataclass(frozen=True, slots=True)
class Notice:
    """An event of the provider: which object it is about."""

    id: str
    kind: str
    object_id: str
    account: str | None
    body: bytes


class Provider(Protocol):
    """Both answer with facts or raise a Trouble."""

    def perform(self, call: Call) -> Fact:
        """Carry the call out under its key."""

    def look(self, call: Call) -> Fact | None:
        """What the provider has of the call's effect; None where it is proved that there is none."""

    def read_payment(self, object_id: str) -> PaymentFact:
        """A payment as it is now."""

    def events_since(self, moment: datetime) -> list[Notice]:
        """Events after `moment`, oldest first."""
