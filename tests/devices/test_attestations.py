"""What both sides sign where telemetry was silent: the use it makes, what it may not contradict, and who may sign."""

from collections.abc import Callable
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from booking.outages.actions import record_outage
from booking.states import BookingState
from devices import actions, queries
from devices.attestations import actions as attestations
from devices.attestations.documents import LARGEST, DocumentKind, read_document
from devices.attestations.statements import Side
from devices.attestations.tables import Attestation, AttestationDocument, AttestationState
from devices.intake import actions as intake
from devices.matching import Booked, Verdict, match
from devices.readings import Envelope
from devices.segments import State
from devices.tables import ConfirmedUse
from marketplace import audit
from marketplace.refusals import Invalid, NotAllowed, WrongState
from marketplace.slot import intersect, total
from marketplace.tables import Message, Resource
from tests.builders import a_booking
from tests.devices.papers import JPEG, PDF, PNG, Blind, a_blind_booking, at_once, stretch
from tests.devices.test_actions import minute, telemetry
from tests.devices.test_matching import EDGES, day, minutes, span


def test_what_both_sides_sign_is_use_and_settles_the_booking(db: Session) -> None:
    blind = a_blind_booking(db)
    first = blind.use()
    assert (first.verdict, first.unverified_s, blind.booking.state) == (Verdict.UNVERIFIABLE, 7200, BookingState.UNVERIFIABLE)
    row = blind.state(stretch(70, 130), note="记录本第 12 页")
    assert (blind.use().id, row.state, row.note) == (first.id, AttestationState.OPEN, "记录本第 12 页")
    blind.sign(row)
    use = blind.use()
    assert (use.number, use.supersedes_id, use.verdict, use.grade) == (2, first.id, Verdict.FULFILLED, "D")
    assert (use.confirmed_s, use.attested_s, use.unverified_s) == (3600, 3600, 3600)
    states = [(one["state"], one["start"]) for one in use.pieces]
    assert states == [("UNKNOWN", minute(60).isoformat()), ("RUN", minute(70).isoformat()), ("UNKNOWN", minute(130).isoformat())]
    assert blind.booking.state is BookingState.COMPLETED
    done = [entry.action for entry in audit.history_of(db, "booking", blind.booking.id)]
    assert {"state_use", "sign_statement_of_use", "conclude"} <= set(done)


def test_both_say_not_used_is_a_no_show(db: Session) -> None:
    blind = a_blind_booking(db)
    blind.sign(blind.state(side=Side.USER))
    use = blind.use()
    assert (use.verdict, use.confirmed_s, use.attested_s) == (Verdict.NO_SHOW, 0, 0)
    assert blind.booking.state is BookingState.NO_SHOW


def test_early_use_and_use_past_the_end_count_as_the_rules_allow(db: Session) -> None:
    blind = a_blind_booking(db, before=350, after=350)
    blind.sign(blind.state(stretch(60, 180)))
    use = blind.use()
    assert (use.confirmed_s, use.attested_s) == (7200, 7200)
    assert (use.early_s, use.overrun_s) == (900, 3600)


def test_no_more_can_be_stated_than_the_overtime_that_the_booking_was_accepted_with(db: Session) -> None:
    blind = a_blind_booking(db, before=350, after=350, overtime_min=10)
    with pytest.raises(Invalid) as refused:
        blind.state(stretch(60, 191))
    assert (refused.value.values["late"], refused.value.values["since"]) == (10, minute(190).isoformat())
    blind.sign(blind.state(stretch(60, 180)))
    assert blind.use().overrun_s == 600


@pytest.mark.parametrize(
    ("stretches", "said"),
    [
        ([stretch(40, 100)], "more than 15 minutes before"),
        ([stretch(170, 245)], "more than"),
        ([stretch(55, 100)], "idle or off"),
        ([stretch(70, 90), stretch(175, 190)], "idle or off"),
        ([stretch(60 + n * 2, 61 + n * 2) for n in range(21)], "more than 20"),
        ([stretch(70.001, 80)], "whole seconds"),
    ],
)
def test_a_stretch_that_cannot_be_is_named(db: Session, stretches: list[Any], said: str) -> None:
    blind = a_blind_booking(db)
    with pytest.raises(Invalid) as refused:
        blind.state(*stretches)
    told = refused.value.values
    for name, value in told.items():
        told = {**told, "reason": str(told["reason"]).replace(f"{{{name}}}", str(value))}
    assert said in told["reason"]
    assert told["field"] == "stretches"
    assert db.scalar(select(func.count()).select_from(Attestation)) == 0


def test_the_contradicted_piece_is_told(db: Session) -> None:
    blind = a_blind_booking(db)
    blind.hear(100, 110, 8, at=260)
    with pytest.raises(Invalid) as refused:
        blind.state(stretch(70, 130))
    assert refused.value.values["since"] == minute(100).isoformat()


def test_time_in_which_the_machine_was_down_or_belongs_to_another_cannot_be_stated(db: Session) -> None:
    blind = a_blind_booking(db)
    resource = blind.booking.resource_id
    record_outage(
        db, resource_id=resource, slot=stretch(100, 110), planned=True, reason="x", actor_id=blind.manager, now=minute(0)
    )
    with pytest.raises(Invalid, match="was down"):
        blind.state(stretch(95, 105))
    other = a_blind_booking(db, after=350)
    beside = db.get_one(Resource, other.booking.resource_id)
    a_booking(db, resource=beside, start=minute(180), hours=0.5)
    with pytest.raises(Invalid, match="another booking"):
        other.state(stretch(100, 190))


def test_not_used_is_refused_where_the_meter_saw_use(db: Session) -> None:
    blind = a_blind_booking(db)
    blind.hear(100, 110, 350, at=260)
    with pytest.raises(Invalid, match="saw it in use"):
        blind.state()


def test_what_the_meter_has_confirmed_needs_no_statement(db: Session) -> None:
    blind = a_blind_booking(db)
    blind.hear(61, 180, 350, at=260)
    with pytest.raises(Invalid, match="confirmed all of that"):
        blind.state(stretch(80, 100))


def test_nobody_signs_for_both_sides(db: Session) -> None:
    blind = a_blind_booking(db)
    row = blind.state(stretch(70, 130))
    with pytest.raises(NotAllowed):
        attestations.sign(db, attestation_id=row.id, actor_id=blind.manager, now=minute(310))
    with pytest.raises(NotAllowed):
        attestations.decline(db, attestation_id=row.id, reason="x", actor_id=blind.manager, now=minute(310))
    alone = update(Attestation).values(state=AttestationState.SIGNED, answered_by=blind.manager, answered_at=minute(310))
    with pytest.raises(IntegrityError), db.begin_nested():
        db.execute(alone)


def test_one_is_open_at_a_time_and_an_answer_is_final(db: Session) -> None:
    blind = a_blind_booking(db)
    row = blind.state(stretch(70, 130))
    with pytest.raises(WrongState):
        blind.state(stretch(70, 130), side=Side.USER)
    who = blind.booking.person_id
    declined = attestations.decline(db, attestation_id=row.id, reason="晚了一小时", actor_id=who, now=minute(310))
    assert (declined.state, declined.reason, blind.use().number) == (AttestationState.DECLINED, "晚了一小时", 1)
    for answer in (
        lambda: blind.sign(row),
        lambda: attestations.withdraw(db, attestation_id=row.id, actor_id=blind.manager, now=minute(311)),
    ):
        with pytest.raises(WrongState):
            answer()
    again = blind.state(stretch(70, 120))
    attestations.withdraw(db, attestation_id=again.id, actor_id=blind.manager, now=minute(312))
    blind.sign(blind.state(stretch(70, 100), side=Side.USER))
    assert blind.use().attested_s == 1800


def test_only_a_new_one_that_both_sign_replaces_a_signed_one(db: Session) -> None:
    blind = a_blind_booking(db)
    blind.sign(blind.state(stretch(70, 100)))
    following = blind.state(stretch(100, 130), side=Side.USER)
    assert (blind.use().number, blind.use().pieces[1]["start"]) == (2, minute(70).isoformat())
    blind.sign(following)
    use = blind.use()
    assert (use.number, use.attested_s, use.pieces[1]["start"]) == (3, 1800, minute(100).isoformat())


def test_a_statement_waits_for_the_verdict_and_there_are_not_many(db: Session) -> None:
    early = a_booking(db, start=minute(60), hours=2)
    wish = attestations.Wish(Side.USER, [stretch(70, 80)], False, PDF)
    with pytest.raises(WrongState, match="undecided"):
        attestations.state(db, booking_id=early.id, wish=wish, actor_id=early.person_id, now=minute(100))
    blind = a_blind_booking(db)
    for _ in range(attestations.MOST_STATEMENTS):
        row = blind.state(stretch(70, 130))
        attestations.withdraw(db, attestation_id=row.id, actor_id=blind.manager, now=minute(301))
    with pytest.raises(WrongState, match="stated_often"):
        blind.state(stretch(70, 130))


LATE: dict[str, Callable[[Blind], object]] = {
    "statement": lambda blind: blind.sign(blind.state(stretch(70, 130))),
    "ran": lambda blind: blind.hear(90, 110, 350, at=400),
    "stood": lambda blind: blind.hear(150, 170, 8, at=420),
}


def figures(use: ConfirmedUse) -> dict[str, Any]:
    names = ("verdict", "confirmed_s", "early_s", "overrun_s", "unverified_s", "fault_s", "attested_s", "grade", "pieces")
    return {name: getattr(use, name) for name in names}


def test_the_order_of_late_telemetry_and_a_statement_does_not_matter(db: Session) -> None:
    found = []
    for order in permutations(LATE):
        blind = a_blind_booking(db)
        for name in order:
            LATE[name](blind)
        found.append(figures(blind.use()))
    assert all(one == found[0] for one in found)
    assert (found[0]["confirmed_s"], found[0]["attested_s"], found[0]["verdict"]) == (3600, 2460, Verdict.FULFILLED)


def test_late_telemetry_wins_over_what_was_signed(db: Session) -> None:
    blind = a_blind_booking(db)
    blind.sign(blind.state(stretch(70, 130)))
    blind.hear(61, 180, 8, at=400)
    use = blind.use()
    assert (use.verdict, use.confirmed_s, use.attested_s) == (Verdict.NO_SHOW, 0, 0)
    unused = a_blind_booking(db)
    unused.sign(unused.state())
    unused.hear(100, 120, 350, at=400)
    assert unused.use().verdict is Verdict.FULFILLED


def test_a_fold_without_news_keeps_what_was_signed(db: Session) -> None:
    blind = a_blind_booking(db)
    blind.sign(blind.state(stretch(70, 130)))
    blind.hear(250, 260, 8, at=400)
    assert (blind.use().number, blind.use().attested_s) == (2, 3600)


@given(
    edges=EDGES,
    states=st.lists(st.sampled_from(State), min_size=11, max_size=11),
    slots=EDGES,
    signed=st.lists(EDGES, min_size=6, max_size=6),
)
def test_statements_take_no_second_of_another_and_none_that_is_known(
    edges: list[int], states: list[State], slots: list[int], signed: list[list[int]]
) -> None:
    segments = day(*[(state, a, b) for state, a, b in zip(states, edges, edges[1:], strict=False)])
    pairs = list(zip(slots[::2], slots[1::2], strict=False))
    papers = [[span(a, b) for a, b in zip(one[::2], one[1::2], strict=False)] for one in signed]
    plain = match(segments, [Booked(str(n), span(a, b)) for n, (a, b) in enumerate(pairs)])
    uses = match(segments, [Booked(str(n), span(a, b), papers[n]) for n, (a, b) in enumerate(pairs)])
    given_away = [piece.slot for use in uses for piece in use.pieces if piece.state is State.RUN]
    assert sum((slot.duration for slot in given_away), start=timedelta()) == total(given_away)
    still = [segment.slot for segment in segments if segment.state in {State.IDLE, State.OFF, State.FAULT}]
    assert not intersect(given_away, still)
    for before, after in zip(plain, uses, strict=True):
        assert after.confirmed + after.unverified == before.confirmed + before.unverified
        assert minutes(after.fault) == minutes(before.fault)


def test_two_who_sign_at_once_have_one_effect(committed_db: sessionmaker[Session]) -> None:
    with committed_db.begin() as db:
        blind = a_blind_booking(db)
        row = blind.state(stretch(70, 130))
        key, signer = row.id, blind.booking.person_id

    def sign() -> str:
        with committed_db.begin() as db:
            return attestations.sign(db, attestation_id=key, actor_id=signer, now=minute(310)).state.value

    answers = at_once([sign] * 4)
    assert sorted(type(one).__name__ for one in answers) == ["WrongState"] * 3 + ["str"]
    with committed_db.begin() as db:
        assert db.scalar(select(func.count()).select_from(ConfirmedUse)) == 2
        assert db.scalar(select(func.count()).select_from(Message).where(Message.kind == "attestation_signed")) == 1


def test_a_fold_and_a_signature_at_once_end_as_one_after_the_other(committed_db: sessionmaker[Session]) -> None:
    with committed_db.begin() as db:
        blind = a_blind_booking(db)
        key, signer, booking_id = blind.state(stretch(70, 130)).id, blind.booking.person_id, blind.booking.id
        late = telemetry(blind.key, 90, 110, 350)
        intake.store(db, [Envelope(one.topic, one.payload, minute(400)) for one in late])

    def sign() -> object:
        with committed_db.begin() as db:
            return attestations.sign(db, attestation_id=key, actor_id=signer, now=minute(310))

    def fold() -> object:
        with committed_db.begin() as db:
            return actions.fold_devices(db, now=minute(401))

    assert [type(one).__name__ for one in at_once([sign, fold])] == ["Attestation", "int"]
    with committed_db.begin() as db:
        actions.fold_devices(db, now=minute(402))
        use = queries.use_of_booking(db, booking_id)
        assert use is not None
        assert (use.confirmed_s, use.attested_s) == (3600, 2460)


@pytest.mark.parametrize(
    ("content", "kind"), [(PDF, DocumentKind.PDF), (PNG, DocumentKind.PNG), (JPEG, DocumentKind.JPEG)], ids=list(DocumentKind)
)
def test_a_document_is_known_by_its_bytes(content: bytes, kind: DocumentKind) -> None:
    assert read_document(content).kind is kind


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "missing"),
        (b"<html><script>alert(1)</script>", "no PDF"),
        (b"GIF89a" + b"\0" * 30, "no PDF"),
        (b"\n" + PDF, "no PDF"),
        (PDF[:-8], "cut off"),
        (PNG[:40], "cut off"),
        (JPEG[:-2], "cut off"),
        (PDF + b"\0" * LARGEST, "larger"),
    ],
    ids=["empty", "page", "gif", "not at the start", "half a PDF", "half a PNG", "half a JPEG", "large"],
)
def test_what_is_no_document_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        read_document(content)


def test_the_same_document_is_stored_once_and_never_changes(db: Session) -> None:
    one, other = a_blind_booking(db), a_blind_booking(db)
    digests = {blind.state(stretch(70, 130)).document_digest for blind in (one, other)}
    stored = db.scalars(select(AttestationDocument)).one()
    assert (digests, stored.content, stored.size) == ({stored.digest}, PDF, len(PDF))
    with pytest.raises(IntegrityError), db.begin_nested():
        db.execute(update(AttestationDocument).values(content=PNG))


def test_who_is_told(db: Session) -> None:
    blind = a_blind_booking(db)
    blind.sign(blind.state(stretch(70, 130)))
    blind_booker, manager = blind.booking.person_id, blind.manager
    db.flush()
    told = {(row.person_id, row.kind) for row in db.scalars(select(Message)) if row.kind.startswith("attestation_")}
    assert told == {(blind_booker, "attestation_waiting"), (manager, "attestation_signed")}
    attestations.decline(
        db, attestation_id=blind.state(stretch(70, 90), side=Side.USER).id, reason="x", actor_id=manager, now=minute(320)
    )
    db.flush()
    told = {(row.person_id, row.kind) for row in db.scalars(select(Message)) if row.kind.startswith("attestation_")} - told
    assert told == {(manager, "attestation_waiting"), (blind_booker, "attestation_declined")}
