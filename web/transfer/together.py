"""Rows of bookings that go together: read as one stretch of a file, taken in as one bundle, all or none."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from booking.bundles.actions import MOST_PARTS
from booking.states import HOLDING
from marketplace.imports import actions as imports
from marketplace.people import queries as people
from marketplace.refusals import NotFound, Reason, Refusal
from web import checkout
from web.api.bookings import order_of
from web.checkout import Order
from web.refusals import Malformed
from web.transfer.files import Row
from web.transfer.kinds import BookingRow, Kind
from web.transfer.taking import Hand, Outcome, Verdict, identity_of, key_of, read

APART = "its rows do not stand one after another"
TOO_MANY = f"more than {MOST_PARTS} rows"


def name_of(row: Row) -> str | None:
    """Under which name the row goes together with others; None where it stands alone."""
    name = row.values.get("together")
    return name if isinstance(name, str) and name else None


def unusable(rows: Iterable[Row]) -> dict[str, str]:
    """Names whose rows cannot be taken in as one, and why: nothing of them may be made before that is known."""
    found: dict[str, str] = {}
    seen: set[str] = set()
    last, count = None, 0
    for row in rows:
        name = name_of(row)
        count = count + 1 if name == last else 1
        if name and name != last and name in seen:
            found[name] = APART
        elif name and count > MOST_PARTS:
            found.setdefault(name, TOO_MANY)
        if name:
            seen.add(name)
        last = name
    return found


def stretches(rows: Iterable[Row], never: Mapping[str, str]) -> Iterator[list[Row]]:
    """Rows of one name as they follow one another; one by one where there is none, or where they can `never` be made."""
    held: list[Row] = []
    for row in rows:
        name = name_of(row)
        if held and name != name_of(held[0]):
            yield held
            held = []
        if name is None or name in never:
            yield [row]
        else:
            held.append(row)
    if held:
        yield held


def wrong(field: str, reason: str) -> Malformed:
    return Malformed([Reason("field", {"field": field, "reason": reason})])


@dataclass(slots=True)
class _Part:
    """A row as far as it was read: what it was before, what it asks for, or why it cannot be taken in."""

    row: Row
    key: str | None = None
    digest: str = ""
    before: str | None = None
    asked: BookingRow | None = None
    order: Order | None = None
    refusal: Refusal | None = None

    def verdict(self, outcome: Outcome, made: str | None = None) -> Verdict:
        return Verdict(self.row.line, self.key, outcome, made, self.refusal)


def take_together(hand: Hand, rows: Sequence[Row]) -> list[Verdict]:
    """All rows as one bundle, each with its own verdict; none of them where one cannot be read.

    Raises: every refusal of a bundle on a page and over the API, which is that of all its rows.
    """
    parts = [_read(hand, row) for row in rows]
    _check(parts)
    if any(part.refusal for part in parts):
        for part in parts:
            part.refusal = part.refusal or wrong("together", "another row of it is refused")
        return [part.verdict(Outcome.REFUSED) for part in parts]
    to_make = [part for part in parts if part.order]
    made = _book(hand, to_make)
    for part in to_make:
        imports.remember(
            hand.session, kind=Kind.BOOKINGS, key=part.key or "", digest=part.digest, object_id=made[part.row.line], now=hand.now
        )
    return [_told(part, made) for part in parts]


def _told(part: _Part, made: Mapping[int, str]) -> Verdict:
    if part.before:
        return part.verdict(Outcome.KNOWN, part.before)
    booking = made.get(part.row.line)
    return part.verdict(Outcome.MADE, booking) if booking else part.verdict(Outcome.PASSED_OVER)


def _read(hand: Hand, row: Row) -> _Part:
    part = _Part(row)
    try:
        part.key = key_of(row)
        part.key, part.digest, values = identity_of(row)
        part.before = imports.find_taken(hand.session, kind=Kind.BOOKINGS, key=part.key, digest=part.digest)
        if part.before:
            return part
        part.asked = asked = read(hand, Kind.BOOKINGS, values)
        if asked.state and asked.state not in HOLDING:
            return part
        if asked.rrule:
            raise wrong("rrule", "does not go with together")
        part.order = order_of(asked.resource_id, asked)
    except Refusal as refusal:
        part.refusal = refusal
    return part


def _check(parts: Sequence[_Part]) -> None:
    """What they must have in common: the person who books, and that nothing of them was taken in alone before."""
    first = next((part.asked for part in parts if part.asked), None)
    known = any(part.before for part in parts)
    for part in parts:
        if part.asked and first and part.asked.person != first.person:
            part.refusal = part.refusal or wrong("person", "is another one than in the first row of it")
        if part.order and known:
            part.refusal = part.refusal or wrong("together", "other rows of it were taken in before")


def _book(hand: Hand, parts: Sequence[_Part]) -> dict[int, str]:
    """The bookings' ids by the lines of their rows. Raises: NotFound, NotAllowed, Invalid, BundleRefused."""
    orders = [part.order for part in parts if part.order]
    if not orders or parts[0].asked is None:
        return {}
    person = people.find_person_by_email(hand.session, parts[0].asked.person)
    if person is None:
        raise NotFound(kind="person")
    actor = people.get_actor(hand.session, person.id)
    made = checkout.book_bundle(hand.session, actor=actor, orders=orders, now=hand.now, hold=hand.hold)
    return {part.row.line: booking.id for part, (booking, _) in zip(parts, made, strict=True)}
