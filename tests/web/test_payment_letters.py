"""Letters about a payment lead to its page and say what happens next, in the reader's language."""

from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from billing import actions, telling
from marketplace.money import Money
from marketplace.people import queries as people
from marketplace.tables import Message
from tests.billing.test_card_flow import AFTER, a_card_booking, a_use
from web.mail import Letter
from web.present import letters, messages
from web.views.frame import Lang

REST = Money(21750, "CNY")


def told(db: Session, kind: str, locale: str) -> Letter:
    """The letter of what was queued last."""
    db.flush()
    [message] = db.scalars(select(Message).where(Message.kind == kind)).all()
    people.get_person(db, message.person_id).locale = locale
    assert messages.path_of(message, Lang.EN) == f"/en/bookings/{message.data['booking_id']}/payment"
    return letters.letter(db, message, base_url="https://pilot.example", organiser="p@pilot.example", now=AFTER)


@pytest.mark.parametrize(
    ("locale", "said", "next_"),
    [
        ("en", "Your statement has an amount left to pay", "Pay the rest on the page below."),
        ("zh", "您的账单还有余款待付", "请在下方页面支付余款。"),
    ],
)
def test_a_rest_is_asked_for_with_the_way_to_pay_it(db: Session, locale: str, said: str, next_: str) -> None:
    booking = a_card_booking(db)
    a_use(db, booking)
    [statement_id] = actions.draft_statements(db, now=AFTER)
    telling.tell_rest(db, booking, actions.queries.get_statement(db, statement_id), REST, AFTER)
    letter = told(db, "payment_rest", locale)
    assert letter.subject.startswith(said)
    assert next_ in letter.text
    assert "217.50" in letter.text
    assert f"https://pilot.example/{locale}/bookings/{booking.id}/payment" in letter.text


def test_what_a_programme_does_not_pay_is_told_with_its_reason(db: Session) -> None:
    booking = a_card_booking(db)
    a_use(db, booking)
    [statement_id] = actions.draft_statements(db, now=AFTER)
    telling.tell_not_funded(db, booking, actions.queries.get_statement(db, statement_id), "合同缺失", AFTER)
    db.flush()
    [message] = db.scalars(select(Message).where(Message.kind == "statement_not_funded")).all()
    letter = letters.letter(db, message, base_url="https://pilot.example", organiser="p@pilot.example", now=AFTER)
    assert "合同缺失" in letter.text


def test_a_refused_hold_says_what_happens_if_nothing_is_done(db: Session) -> None:
    booking = a_card_booking(db)
    telling.tell_unsecured(db, booking, Money(72000, "CNY"), cause="pay_1", now=AFTER)
    assert "If nothing is done, the booking stands all the same." in told(db, "payment_hold_refused", "en").text


def test_a_refund_that_came_back_says_when_it_is_sent_again_or_that_it_is_not(db: Session) -> None:
    booking = a_card_booking(db)
    again = AFTER + timedelta(days=1)
    telling.tell_refund_failed(db, booking, REST, cause="re_1", again=again, now=AFTER)
    assert "It is sent again after" in told(db, "payment_refund_failed", "en").text
    other = a_card_booking(db)
    telling.tell_refund_failed(db, other, REST, cause="re_2", again=None, now=AFTER)
    last = db.scalars(select(Message).where(Message.data["booking_id"].as_string() == other.id)).one()
    people.get_person(db, last.person_id).locale = "zh"
    letter = letters.letter(db, last, base_url="https://pilot.example", organiser="p@pilot.example", now=AFTER)
    assert "请告知平台退到哪里" in letter.text
