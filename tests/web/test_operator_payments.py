"""The operator sees what of the payments waits for a person, and says where an institution is paid."""

from sqlalchemy.orm import Session, sessionmaker

from billing import queries, webhooks
from billing.payments import queries as waiting
from billing.payments.refunds import queue_refund, refund_refused
from billing.providers.base import Notice
from billing.tables import CallState, Operation, ProviderCall, ProviderEvent
from booking.tables import Booking
from marketplace import clock
from marketplace.money import Money
from marketplace.tables import Settlement
from tests.billing.test_card_flow import a_card_booking
from tests.builders import an_institution
from tests.web.desks import Desk


def test_what_was_refused_or_put_aside_is_listed_and_can_be_looked_at_again(
    desk: Desk,
) -> None:
    with desk.database() as session, session.begin():
        booking_id = a_card_booking(session).id
        [hold] = queries.calls_of(session, booking_id)
        hold.operation, hold.state, hold.last_error, hold.done_at = (
            Operation.REFUND,
            CallState.FAILED,
            "No such charge",
            clock.now(),
        )
        webhooks.accept(session, Notice("evt_odd", "charge.updated", "pi_odd", None, b"{}"), now=clock.now())
        session.get_one(ProviderEvent, "evt_odd").quarantined_at = clock.now()
    reader = desk.reader("operator")
    page = reader.get("/operator/payments").text
    assert all(word in page for word in (booking_id, "No such charge", "evt_odd", "pi_odd", "acct_test"))
    assert reader.post("/operator/payments/events/evt_odd/again").status_code == 200
    with desk.database() as session:
        assert session.get_one(ProviderEvent, "evt_odd").quarantined_at is None
    assert reader.post("/operator/payments/events/evt_odd/again").status_code == 404


def test_a_refused_call_that_was_asked_again_is_no_trouble(committed_db: sessionmaker[Session]) -> None:
    with committed_db.begin() as session:
        booking_id = a_card_booking(session).id
        [first] = queries.calls_of(session, booking_id)
        first.operation, first.state = Operation.TRANSFER, CallState.FAILED
        session.flush()
        assert [call.id for call in waiting.calls_in_trouble(session)] == [first.id]
        known = {column.key: getattr(first, column.key) for column in ProviderCall.__table__.columns}
        later = {"id": "call_2", "key": "k2", "seq": first.seq + 1, "state": CallState.WAITING}
        session.add(ProviderCall(**{**known, **later}))
        session.flush()
        assert waiting.calls_in_trouble(session) == []
        assert waiting.calls_waiting(session).count == 1


def test_an_institution_s_account_is_set_by_page_and_by_api_and_only_by_the_operator(
    desk: Desk,
) -> None:
    with desk.database() as session, session.begin():
        house = an_institution(session, name="代收研究所", settlement=Settlement.PLATFORM_COLLECTS).id
    reader = desk.reader("operator")
    assert "nothing goes out" in reader.get("/operator/payments").text
    wrong = reader.post("/operator/payments/accounts", institution_id=house, account_id="6222 0000")
    assert (wrong.status_code, "6222 0000" in wrong.text, "acct_ and letters" in wrong.text) == (422, True, True)
    assert reader.post("/operator/payments/accounts", institution_id=house, account_id="acct_1Nv0").status_code == 200
    assert "acct_1Nv0" in reader.get("/operator/payments").text
    assert reader.post("/operator/payments/accounts", institution_id="ins_none", account_id="acct_1Nv0").status_code == 404
    assert desk.reader("manager").get("/operator/payments").status_code == 404
    assert (
        desk.reader("manager").post("/operator/payments/accounts", institution_id=house, account_id="acct_2").status_code == 404
    )


def test_a_refund_that_did_not_arrive_is_listed_and_can_be_sent_again(desk: Desk) -> None:
    now = clock.now()
    with desk.database() as session, session.begin():
        booking_id = a_card_booking(session).id
        [payment] = queries.payments_of(session, booking_id)
        queue_refund(session, payment, Money(7500, "CNY"), session.get_one(Booking, booking_id), "r1", now)
        call = queries.calls_of(session, booking_id)[-1]
        call.state, call.last_error, call.done_at = CallState.FAILED, "charge_expired_for_refund", now
        refund_refused(session, payment=payment, call=call, now=now)
        payment_id = payment.id
    reader = desk.reader("operator")
    page = reader.get("/operator/payments").text
    assert all(word in page for word in ("Refunds that did not arrive", booking_id, "75.00", "charge_expired_for_refund"))
    again = f"/operator/payments/refunds/{payment_id}/again"
    assert desk.reader("manager").post(again).status_code in {403, 404}
    assert "Refunds that did not arrive" not in reader.post(again).text
    assert reader.post(again).status_code == 404
    assert "On its way back" in reader.get(f"/bookings/{booking_id}/payment").text
