"""Documents as small as their kinds allow, and a booking of which the meter saw nothing."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier

from sqlalchemy.orm import Session

from booking import actions as bookings
from booking.tables import Booking
from devices import actions, queries
from devices.attestations import actions as attestations
from devices.attestations.actions import Wish
from devices.attestations.statements import Side
from devices.attestations.tables import Attestation
from devices.intake import actions as intake
from devices.readings import Envelope
from devices.registry.actions import set_thresholds
from devices.tables import ConfirmedUse
from marketplace.refusals import Refusal
from marketplace.roles import Role
from marketplace.slot import Slot
from marketplace.tables import Institution
from tests.builders import a_booking, a_member, a_resource
from tests.devices.test_actions import a_device, minute, telemetry

PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + b"\x00" * 17 + b"\x00\x00\x00\x00IEND\xaeB`\x82"
JPEG = b"\xff\xd8\xff\xe0" + b"\x00" * 20 + b"\xff\xd9"


def at_once(acts: Sequence[Callable[[], object]]) -> list[object]:
    """What each got when all began at the same moment: a value, or what was refused."""
    start = Barrier(len(acts))

    def run(act: Callable[[], object]) -> object:
        start.wait(10)
        try:
            return act()
        except Refusal as refusal:
            return refusal

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def stretch(start: float, end: float) -> Slot:
    return Slot(minute(start), minute(end))


@dataclass
class Blind:
    """Booked from minute 60 to 180. The meter was heard to minute 60 and from 180 on; it was silent between, but for `heard`."""

    db: Session
    booking: Booking
    key: str
    manager: str
    folded_to: float = 250

    def hear(self, start: int, end: int, power: float, *, at: float) -> None:
        """Telemetry of those minutes, which came at minute `at`, folded then."""
        came = minute(at)
        intake.store(self.db, [Envelope(e.topic, e.payload, came) for e in telemetry(self.key, start, end, power)])
        self.folded_to = max(self.folded_to, at + 1)
        actions.fold_devices(self.db, now=minute(self.folded_to))

    def state(self, *stretches: Slot, side: Side = Side.PROVIDER, document: bytes = PDF, **more: str) -> Attestation:
        """By the manager, or by who booked."""
        who = self.manager if side is Side.PROVIDER else self.booking.person_id
        wish = Wish(side, stretches, not stretches, document, more.get("note"))
        return attestations.state(self.db, booking_id=self.booking.id, wish=wish, actor_id=who, now=minute(300))

    def sign(self, row: Attestation) -> Attestation:
        """By the other side."""
        who = self.booking.person_id if row.side is Side.PROVIDER else self.manager
        return attestations.sign(self.db, attestation_id=row.id, actor_id=who, now=minute(310))

    def use(self) -> ConfirmedUse:
        found = queries.use_of_booking(self.db, self.booking.id)
        assert found is not None
        return found


def a_blind_booking(db: Session, *, before: float = 8, after: float = 8, **rules: int) -> Blind:
    """Unverifiable; `before` and `after` are the watts at both of its ends."""
    resource = a_resource(db, rules=rules)
    device, known = a_device(db, resource)
    set_thresholds(db, device_id=device.id, profile={"backfill": 86400}, actor_id="x", now=minute(0.1))
    booking = a_booking(db, resource=resource, start=minute(60), hours=2)
    intake.store(db, telemetry(known.key, 0, 61, before) + telemetry(known.key, 180, 250, after))
    actions.fold_devices(db, now=minute(250))
    actions.confirm_uses(db, now=minute(250))
    use = queries.use_of_booking(db, booking.id)
    assert use is not None
    bookings.conclude(db, booking_id=booking.id, outcome=queries.OUTCOMES[use.verdict], now=minute(251))
    house = db.get_one(Institution, resource.institution_id)
    return Blind(db, booking, known.key, a_member(db, Role.MANAGER, institution=house).id)
