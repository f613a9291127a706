"""What is sealed stays as it is; what late messages would make of it is written down once, and read in its place."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, update
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from booking.tables import Booking
from devices import actions, queries, what_if
from devices.archive.files import Archive
from devices.discrepancies import invariants
from devices.discrepancies import queries as discrepancies
from devices.discrepancies.actions import MOST_MESSAGES, seal
from devices.discrepancies.comparing import CUT, clipped, differences, sealed_in, segments_in, sessions_in
from devices.discrepancies.tables import Cause, Discrepancy, SealedStretch
from devices.evidence import folder
from devices.evidence.exporting import export
from devices.evidence.keys import read_signer
from devices.evidence.verifying import verify
from devices.intake import actions as intake
from devices.profile import Profile
from devices.readings import Envelope
from devices.registry.actions import set_thresholds
from devices.segments import Segment, State, joined
from devices.tables import Device, StateSegment, UsageSession
from marketplace.slot import Slot
from marketplace.tables import Resource
from tests.builders import a_booking, a_resource
from tests.devices import evidences
from tests.devices.test_actions import DAY, a_device, message, minute, telemetry

EVER = Slot(DAY - timedelta(days=2), DAY + timedelta(days=9))


def span(start: float, end: float) -> Slot:
    return Slot(minute(start), minute(end))


@dataclass
class Line:
    """A resource booked from minute 60 to 180, with a meter whose late messages are trusted for a day."""

    db: Session
    booking: Booking
    key: str
    device_id: str
    sealed: list[Slot] = field(default_factory=list)

    def hear(self, start: int, end: int, power: float, *, at: float | None = None) -> None:
        """Those minutes, as they were said or all together at minute `at`, and folded."""
        self.store(start, end, power, at=at)
        self.fold(at if at is not None else end)

    def store(self, start: int, end: int, power: float, *, at: float | None = None) -> None:
        said = telemetry(self.key, start, end, power)
        intake.store(self.db, said if at is None else [Envelope(one.topic, one.payload, minute(at)) for one in said])

    def fold(self, at: float) -> None:
        actions.fold_devices(self.db, now=minute(at) + timedelta(seconds=1))

    def seal(self, start: float, end: float, *, at: float, cause: Cause = Cause.STATEMENT) -> SealedStretch:
        known = len(self.sealed)
        discrepancies.lock_devices(self.db, [self.booking.resource_id])
        stretches = {self.booking.resource_id: span(start, end)}
        seal(self.db, cause=cause, cause_id=f"{cause.value}_{known}", stretches=stretches, now=minute(at))
        found = self.db.scalars(select(SealedStretch).where(SealedStretch.resource_id == self.booking.resource_id)).all()
        row = next(one for one in found if one.cause_id == f"{cause.value}_{known}")
        self.sealed.append(Slot(row.starts_at, row.ends_at))
        return row

    def rows(self, within: Slot) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
        """Every column of the sessions and segments that lie within it."""
        sessions = select(UsageSession.__table__).where(
            UsageSession.device_id == self.device_id, UsageSession.ends_at.is_not(None)
        )
        inside = (UsageSession.starts_at >= within.start, UsageSession.until <= within.end)
        pieces = select(StateSegment.__table__).where(StateSegment.device_id == self.device_id)
        there = (StateSegment.starts_at >= within.start, StateSegment.ends_at <= within.end)
        found = self.db.execute(sessions.where(*inside).order_by(UsageSession.starts_at)).all()
        listed = self.db.execute(pieces.where(*there).order_by(StateSegment.starts_at)).all()
        return [tuple(map(repr, one)) for one in found], [tuple(map(repr, one)) for one in listed]

    def stored(self) -> list[StateSegment]:
        return discrepancies.stored_segments(self.db, self.device_id, EVER)

    def states(self) -> list[tuple[datetime, datetime, State, bool]]:
        """As all messages come to."""
        found = joined(queries.segments_of_resource(self.db, self.booking.resource_id, within=EVER))
        known = [one for one in found if one.state is not State.UNKNOWN or one.bridged]
        return [(one.slot.start, one.slot.end, one.state, one.bridged) for one in known]

    def records(self) -> Sequence[Discrepancy]:
        return self.db.scalars(
            select(Discrepancy).where(Discrepancy.device_id == self.device_id).order_by(Discrepancy.found_at)
        ).all()


def a_line(db: Session) -> Line:
    resource = a_resource(db)
    device, known = a_device(db, resource)
    set_thresholds(db, device_id=device.id, profile={"backfill": 172800}, actor_id="x", now=DAY + timedelta(seconds=1))
    return Line(db, a_booking(db, resource=resource, start=minute(60), hours=2), known.key, device.id)


def a_gap(db: Session) -> Line:
    """Running from minute 65 to 90; silent to 150; idle to 250. Sealed at 300 from the booking's start to its end."""
    line = a_line(db)
    line.hear(0, 65, 8)
    line.hear(65, 91, 350)
    line.hear(150, 250, 8)
    actions.confirm_uses(db, now=minute(250))
    return line


def test_unsealed_time_is_folded_again_and_nothing_is_written_down(db: Session) -> None:
    line = a_gap(db)
    line.hear(91, 150, 350, at=310)
    [run] = db.scalars(select(UsageSession).where(UsageSession.device_id == line.device_id)).all()
    assert (run.starts_at, run.ends_at, run.confirmed_s) == (minute(65), minute(150), 85 * 60)
    assert line.records() == []


def test_a_sealed_stretch_stays_and_what_it_would_be_is_written_down_and_read(db: Session) -> None:
    line = a_gap(db)
    row = line.seal(60, 180, at=300)
    before = line.rows(Slot(row.starts_at, row.ends_at))
    assert len(before[0]) == 1
    line.hear(91, 150, 350, at=310)
    assert line.rows(Slot(row.starts_at, row.ends_at)) == before
    [one] = line.records()
    assert (one.number, one.day, one.differs) == (1, date(2026, 3, 10), True)
    assert (one.starts_at, one.ends_at) == (minute(65), minute(150))
    assert (one.was_s, one.would_be_s) == (25 * 60, 85 * 60)
    assert (one.was_wh, one.would_be_wh) == (250, 850)
    assert one.messages["count"] == 59
    assert (one.messages["first"], len(one.messages["digests"])) == (minute(310).isoformat(), 59)
    assert one.rests_on == [{"cause": "statement", "id": "statement_0"}]
    assert (minute(65), minute(150), State.RUN, False) in line.states()
    use = queries.use_of_booking(db, line.booking.id)
    assert use is not None
    assert (use.number, use.confirmed_s, use.energy_wh) == (2, 85 * 60, 850)
    assert list(invariants.violations(db)) == []


def test_the_same_messages_again_or_folded_again_write_nothing_more(db: Session) -> None:
    line = a_gap(db)
    line.seal(60, 180, at=300)
    line.hear(91, 150, 350, at=310)
    line.hear(91, 150, 350, at=311)
    line.hear(250, 252, 8, at=312)
    line.hear(313, 330, 8)
    assert len(line.records()) == 1


def test_more_late_messages_write_a_further_record_with_the_whole(db: Session) -> None:
    line, other = a_gap(db), a_gap(db)
    for one in (line, other):
        one.seal(60, 180, at=300)
    line.hear(91, 120, 350, at=310)
    line.hear(120, 150, 350, at=320)
    other.hear(91, 150, 350, at=330)
    first, second = line.records()
    assert (first.number, second.number) == (1, 2)
    assert first.would_be_s < second.would_be_s
    [whole] = other.records()
    for name in ("starts_at", "ends_at", "was_s", "would_be_s", "was_wh", "would_be_wh", "was", "would_be"):
        assert getattr(second, name) == getattr(whole, name)
    assert second.messages["count"] == 59
    assert [one.id for one in discrepancies.standing(db, [line.booking.resource_id], EVER)] == [second.id]


def test_of_a_day_that_is_sealed_twice_a_fold_of_its_end_forgets_nothing(db: Session) -> None:
    line = a_gap(db)
    line.seal(60, 180, at=300)
    line.hear(91, 150, 350, at=310)
    known = line.states()[:3]
    line.hear(250, 340, 8)
    line.seal(305, 330, at=340)
    line.hear(340, 342, 8)
    assert (minute(65), minute(150), State.RUN, False) in known
    assert line.states()[:2] == known[:2]
    assert line.records()[-1].would_be_s == 85 * 60
    use = queries.use_of_booking(db, line.booking.id)
    assert use is not None
    assert use.confirmed_s == 85 * 60


def test_every_late_message_is_counted_and_the_first_hundred_are_named(db: Session) -> None:
    line = a_gap(db)
    line.seal(60, 180, at=300)
    said = [message(line.key, 91 + number / 6, 350) for number in range(59 * 6)]
    late = [Envelope(one.topic, one.payload, minute(310) + timedelta(seconds=n)) for n, one in enumerate(said)]
    for some in (late[:200], late[200:]):
        intake.store(db, some)
        line.fold(330)
    told = line.records()[-1].messages
    assert (told["count"], len(told["digests"])) == (len(said), MOST_MESSAGES)
    assert (told["first"], told["last"]) == (late[0].received_at.isoformat(), late[-1].received_at.isoformat())


def test_late_messages_that_change_nothing_write_nothing(db: Session) -> None:
    line = a_gap(db)
    line.seal(60, 180, at=300)
    between = message(line.key, 170.5, 8)
    intake.store(db, [Envelope(between.topic, between.payload, minute(311))])
    line.fold(312)
    assert line.records() == []


def test_what_later_messages_make_up_for_is_written_down_as_no_difference(db: Session) -> None:
    """A late reading ends a run; another one, which comes later still, shows that it was a dip."""
    line = a_line(db)
    line.hear(0, 65, 8)
    line.hear(65, 101, 350)
    line.hear(103, 150, 350)
    line.hear(150, 250, 8)
    line.seal(60, 180, at=300)
    for came, (at, power) in ((310, (100.5, 8)), (320, (101.5, 350))):
        said = message(line.key, at, power)
        intake.store(db, [Envelope(said.topic, said.payload, minute(came))])
        line.fold(came)
    first, second = line.records()
    assert (first.number, first.differs, first.was_s > first.would_be_s) == (1, True, True)
    assert (second.number, second.differs, second.was_s) == (2, False, second.would_be_s)
    assert discrepancies.standing(db, [line.booking.resource_id], EVER) == []


def test_a_run_that_goes_on_beyond_what_is_sealed_stays_one_run(db: Session) -> None:
    line = a_line(db)
    line.hear(0, 65, 8)
    line.hear(65, 300, 350)
    line.seal(60, 180, at=300)
    line.hear(300, 400, 350)
    line.hear(400, 420, 8)
    [run] = db.scalars(select(UsageSession).where(UsageSession.device_id == line.device_id)).all()
    assert (run.starts_at, run.ends_at) == (minute(65), minute(400))
    assert line.records() == []
    assert list(invariants.violations(db)) == []


def test_a_late_run_across_the_edge_is_stored_as_far_as_it_is_not_sealed(db: Session) -> None:
    line = a_line(db)
    line.hear(0, 65, 8)
    line.hear(65, 91, 350)
    line.hear(230, 250, 8)
    row = line.seal(60, 180, at=300)
    line.hear(91, 230, 350, at=310)
    sealed, cut = db.scalars(
        select(UsageSession).where(UsageSession.device_id == line.device_id).order_by(UsageSession.starts_at)
    )
    assert (sealed.starts_at, sealed.ends_at, sealed.energy_wh) == (minute(65), minute(90), 250)
    assert (cut.starts_at, cut.ends_at, cut.confirmed_s, cut.energy_wh) == (row.ends_at, minute(230), 50 * 60, 500)
    assert CUT in cut.flags
    [one] = line.records()
    [would_run] = sessions_in(one.would_be)
    assert (would_run.starts_at, would_run.ends_at, would_run.confirmed_s) == (minute(65), minute(180), 115 * 60)
    assert (minute(65), minute(230), State.RUN, False) in line.states()
    line.hear(400, 410, 8)
    assert len(line.records()) == 1


def test_each_day_has_a_record_of_its_own(db: Session) -> None:
    line = a_line(db)
    midnight = (datetime(2026, 3, 11, tzinfo=UTC) - DAY) // timedelta(minutes=1)
    line.hear(midnight - 200, midnight - 90, 8)
    line.hear(midnight + 90, midnight + 200, 8)
    line.seal(midnight - 200, midnight + 190, at=midnight + 300)
    line.hear(midnight - 90, midnight + 90, 350, at=midnight + 310)
    one, other = line.records()
    assert (one.day, other.day) == (date(2026, 3, 10), date(2026, 3, 11))
    assert (one.ends_at, other.starts_at) == (minute(midnight), minute(midnight))
    assert (one.would_be_s, other.would_be_s) == (90 * 60, 90 * 60)
    assert (one.would_be_wh, other.would_be_wh) == (1800, 0)
    assert one.would_be["sessions"] == other.would_be["sessions"]
    line.hear(midnight + 300, midnight + 310, 8)
    between = message(line.key, midnight + 30.5, 350)
    intake.store(db, [Envelope(between.topic, between.payload, minute(midnight + 320))])
    line.fold(midnight + 321)
    assert len(line.records()) == 2


def test_the_tables_refuse_every_change(db: Session) -> None:
    line = a_gap(db)
    line.seal(60, 180, at=300)
    line.hear(91, 150, 350, at=310)
    for change in (update(Discrepancy).values(was_s=0), delete(Discrepancy), delete(SealedStretch)):
        with pytest.raises(DatabaseError, match="never change"), db.begin_nested():
            db.execute(change)


def test_the_audit_sees_what_was_changed_within_sealed_time(db: Session) -> None:
    line = a_gap(db)
    line.seal(60, 180, at=300)
    db.execute(update(UsageSession).where(UsageSession.device_id == line.device_id).values(energy_wh=1))
    [said] = invariants.violations(db)
    assert said.startswith("sealed_time_is_as_it_was_sealed")


CHUNKS = ((91, 100), (100, 112), (112, 130), (130, 150), (200, 215))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("late"), st.integers(0, len(CHUNKS) - 1)),
        st.tuples(st.just("fold"), st.just(0)),
        st.tuples(st.just("seal"), st.integers(0, 4)),
        st.tuples(st.just("live"), st.just(0)),
    ),
    min_size=1,
    max_size=12,
)
SEALS = ((60, 180), (0, 240), (150, 250), (200, 220), (80, 95))
"""Some begin or end within a silence, or within time that others sealed."""


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=STEPS, powers=st.lists(st.sampled_from([8.0, 350.0]), min_size=len(CHUNKS), max_size=len(CHUNKS)))
def test_whatever_comes_when_sealed_rows_stay_and_what_is_known_is_what_all_messages_come_to(
    db: Session, steps: list[tuple[str, int]], powers: list[float]
) -> None:
    with db.begin_nested() as attempt:
        line, free = a_line(db), a_line(db)
        for one in (line, free):
            one.hear(0, 65, 8)
            one.hear(65, 91, 350)
            one.hear(150, 200, 8)
            one.hear(215, 260, 350)
        at = 300
        for what, which in [*steps, ("fold", 0)]:
            at += 1
            if what == "late":
                for one in (line, free):
                    one.store(*CHUNKS[which], powers[which], at=at)
            elif what == "seal":
                line.seal(*SEALS[which], at=at, cause=Cause.EVALUATION)
            elif what == "live":
                for one in (line, free):
                    one.store(at, at + 1, 350)
            else:
                for one in (line, free):
                    one.fold(at)
            assert list(invariants.violations(db)) == []  # each seal keeps a digest of what it found
        assert line.states() == free.states()
        whole = [Segment(Slot(one.starts_at, one.ends_at), one.state, one.bridged) for one in free.stored()]
        for row in discrepancies.standing(db, [line.booking.resource_id], EVER):
            assert (segments_in(row.was), sessions_in(row.was)) != (segments_in(row.would_be), sessions_in(row.would_be))
            assert differences(clipped(whole, sealed_in(row.would_be)), segments_in(row.would_be)) == []
        known = [run for _, run in discrepancies.known_sessions(db, [line.booking.resource_id], EVER) if CUT not in run.flags]
        truth = [run for _, run in discrepancies.known_sessions(db, [free.booking.resource_id], EVER)]
        assert [run for run in known if run not in truth] == []
        attempt.rollback()


def test_evidence_of_a_day_that_late_messages_changed_agrees_with_its_messages(db: Session, tmp_path: Path) -> None:
    device = evidences.a_device(db)
    set_thresholds(db, device_id=device.id, profile={"backfill": 86400}, actor_id="x", now=evidences.at(0, 0.5))
    said = [evidences.message(device, evidences.at(0, at), 350 if 540 <= at < 600 else 8) for at in range(1, 720)]
    intake.store(db, [one for at, one in enumerate(said, 1) if not 560 <= at < 590])
    actions.fold_devices(db, now=evidences.at(0, 720))
    stretches = {device.resource_id: Slot(evidences.at(0, 500), evidences.at(0, 650))}
    seal(db, cause=Cause.STATEMENT, cause_id="stm_1", stretches=stretches, now=evidences.at(0, 730))
    late = [evidences.message(device, evidences.at(0, at), 350, evidences.at(0, 800)) for at in range(560, 590)]
    intake.store(db, [*late, evidences.message(device, evidences.at(1, 1), 8)])
    actions.fold_devices(db, now=evidences.at(1, 2))
    evidences.sealed(db, read_signer("7a" * 32, Path("nowhere")), until=2)
    out, archive = tmp_path / "out", Archive(Path("nowhere"))
    export(db, out, archive=archive, resource_id=device.resource_id, first=evidences.DAY, last=evidences.DAY)
    assert verify(out).problems == []
    [claimed] = [orjson.loads(line) for line in (out / folder.SESSIONS).read_bytes().splitlines()]
    assert claimed["confirmed_s"] == 3600
    [stored, *_] = db.scalars(select(UsageSession).where(UsageSession.device_id == device.id).order_by(UsageSession.starts_at))
    assert stored.confirmed_s == 19 * 60


def test_other_thresholds_leave_what_is_sealed(db: Session) -> None:
    line = a_gap(db)
    device = db.get_one(Device, line.device_id)
    assert what_if.foresee(db, device, Profile(), now=minute(260)).sealed_s == 0
    line.seal(60, 180, at=300)
    line.seal(150, 200, at=301)
    found = what_if.foresee(db, device, Profile(p_on=500, p_off=400), now=minute(310))
    assert (found.sealed, found.sealed_s) == ([span(60, 200)], 140 * 60)


def test_what_rests_on_a_line_seals_its_stations(db: Session) -> None:
    line = a_gap(db)
    whole = a_resource(db)
    db.get_one(Resource, line.booking.resource_id).parent_id = whole.id
    db.flush()
    discrepancies.lock_devices(db, [whole.id])
    seal(db, cause=Cause.STATEMENT, cause_id="stm_1", stretches={whole.id: span(60, 180)}, now=minute(300))
    line.hear(91, 150, 350, at=310)
    [one] = line.records()
    assert (one.resource_id, one.rests_on) == (line.booking.resource_id, [{"cause": "statement", "id": "stm_1"}])
    assert discrepancies.sealed_for(db, ["stm_1"]) == {whole.id, line.booking.resource_id}
    assert discrepancies.discrepancies_of(db, whole.id) == [one]
    assert list(invariants.violations(db)) == []


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    order=st.permutations(range(len(CHUNKS))), again=st.lists(st.integers(0, len(CHUNKS) - 1), max_size=3), folds=st.booleans()
)
def test_the_standing_record_is_the_same_whatever_the_order_and_however_often(
    db: Session, order: list[int], again: list[int], folds: bool
) -> None:
    with db.begin_nested() as attempt:
        lines = [a_line(db), a_line(db)]
        for one in lines:
            for start, end, power in ((0, 65, 8), (65, 91, 350), (150, 200, 8), (215, 260, 350), (260, 280, 8)):
                one.hear(start, end, power)
            one.seal(60, 240, at=300)
        for which in range(len(CHUNKS)):
            lines[0].store(*CHUNKS[which], 350 if which % 2 else 8, at=310)
        lines[0].fold(320)
        for which in (*order, *again):
            lines[1].store(*CHUNKS[which], 350 if which % 2 else 8, at=310)
            if folds:
                lines[1].fold(311)
        lines[1].fold(320)
        standing = [discrepancies.standing(db, [one.booking.resource_id], EVER) for one in lines]
        said = [[(row.starts_at, row.ends_at, row.was, row.would_be, row.messages["count"]) for row in rows] for rows in standing]
        assert said[0] == said[1]
        assert len(said[0]) == 1
        attempt.rollback()
