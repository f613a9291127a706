"""Which movements of the provider's account and which entries of the journal belong together, and which have no other side."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from billing.ledger import EntryKind


class FindingKind(StrEnum):
    """What the ledger and the provider do not agree on; the first four are differences of money."""

    UNKNOWN_MOVEMENT = "unknown_movement"
    """The account moved for something that the ledger does not know, or in a way that it has no entry for."""
    NOT_POSTED = "not_posted"
    NOT_THERE = "not_there"
    """Posted, and the provider's account never moved."""
    DIFFERS = "differs"
    OBJECT_UNKNOWN = "object_unknown"
    """A payment or transfer under one of our keys that the ledger does not know."""
    OBJECT_MISSING = "object_missing"


class Part(StrEnum):
    """What happens to the money of a payment."""

    TAKEN = "taken"
    GIVEN_BACK = "given_back"
    PASSED_ON = "passed_on"


MOVED: Mapping[str, Part] = {
    "charge": Part.TAKEN,
    "payment": Part.TAKEN,
    "refund": Part.GIVEN_BACK,
    "payment_refund": Part.GIVEN_BACK,
    "refund_failure": Part.GIVEN_BACK,
    "payment_failure_refund": Part.GIVEN_BACK,
    "transfer": Part.PASSED_ON,
    "transfer_cancel": Part.PASSED_ON,
    "transfer_failure": Part.PASSED_ON,
    "transfer_refund": Part.PASSED_ON,
}
"""The provider's types that the journal has an entry for; every other one is for a person to look at."""

POSTED: Mapping[EntryKind, Part] = {
    EntryKind.PAYMENT_CAPTURED: Part.TAKEN,
    EntryKind.PREPAY_CAPTURED: Part.TAKEN,
    EntryKind.PSP_FEE: Part.TAKEN,
    EntryKind.REFUND_SETTLED: Part.GIVEN_BACK,
    EntryKind.REFUND_FAILED: Part.GIVEN_BACK,
    EntryKind.TRANSFER_OUT: Part.PASSED_ON,
}


@dataclass(frozen=True, slots=True)
class Moved:
    """A movement there: `net_minor` of the account; `payment_id` is our payment, where there is one."""

    id: str
    kind: str
    payment_id: str | None
    currency: str
    net_minor: int


@dataclass(frozen=True, slots=True)
class Booked:
    """What entries of one kind and one source have posted to PSP; `part` is the kind where it is none of the known ones."""

    subject: str
    booking_id: str | None
    part: str
    currency: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Found:
    """A difference; the amounts are 0 on the side that has nothing."""

    kind: FindingKind
    subject: str
    booking_id: str | None
    currency: str
    theirs_minor: int
    ours_minor: int

    @property
    def difference_minor(self) -> int:
        return self.theirs_minor - self.ours_minor


def differences(moved: Iterable[Moved], booked: Iterable[Booked], under_way: Collection[str] = ()) -> list[Found]:
    """By payment and part, what the two sides do not agree on; payments `under_way` are left out.

    >>> differences([Moved("txn_1", "payout", None, "CNY", -100)], [])[0].kind.value
    'unknown_movement'
    """
    theirs: dict[tuple[str, str, str], int] = defaultdict(int)
    found = []
    for one in moved:
        if one.kind not in MOVED or one.payment_id is None:
            found.append(Found(FindingKind.UNKNOWN_MOVEMENT, one.id, None, one.currency, one.net_minor, 0))
        else:
            theirs[one.payment_id, MOVED[one.kind], one.currency] += one.net_minor
    ours: dict[tuple[str, str, str], int] = defaultdict(int)
    bookings: dict[str, str | None] = {}
    for entry in booked:
        ours[entry.subject, entry.part, entry.currency] += entry.amount_minor
        bookings[entry.subject] = entry.booking_id
    for subject, part, currency in sorted({*theirs, *ours}):
        there, here = theirs[subject, part, currency], ours[subject, part, currency]
        if there != here and subject not in under_way:
            found.append(Found(_kind(there, here), f"{subject}:{part}", bookings.get(subject), currency, there, here))
    return found


def _kind(theirs: int, ours: int) -> FindingKind:
    if not ours:
        return FindingKind.NOT_POSTED
    return FindingKind.DIFFERS if theirs else FindingKind.NOT_THERE


def by_currency(found: Iterable[Found]) -> dict[str, int]:
    """How much more there is at the provider than in the ledger, by currency."""
    sums: dict[str, int] = defaultdict(int)
    for one in found:
        sums[one.currency] += one.difference_minor
    return {currency: amount for currency, amount in sorted(sums.items()) if amount}
