"""For the operator: what of the payments waits for a person, and where institutions are paid."""

from datetime import datetime

from sqlalchemy.orm import Session

from billing.payments import queries
from web.present import names
from web.views.frame import EMPTY_FORM, Choice, Form, Lang
from web.views.operator import CallRow, EventRow, PaymentsView, ShareRow, StuckRow


def payments(session: Session, lang: Lang, now: datetime, form: Form = EMPTY_FORM) -> PaymentsView:
    waiting, shares = queries.calls_waiting(session), queries.shares(session)
    called = {one.institution.id: names.name_of(one.institution, lang) for one in shares}
    return PaymentsView(
        waiting=waiting.count,
        oldest=waiting.oldest,
        calls=[
            CallRow(row.booking_id, row.operation.value, row.state.value, row.last_error or "", row.done_at or row.created_at)
            for row in queries.calls_in_trouble(session)
        ],
        events=[EventRow(row.id, row.kind, row.object_id, row.received_at) for row in queries.events_put_aside(session)],
        shares=[ShareRow(one.institution.id, called[one.institution.id], one.account_id, one.owed) for one in shares],
        choices=[Choice(house, name) for house, name in called.items()],
        stuck=[
            StuckRow(one.payment_id, one.booking_id, one.amount, one.failure, one.at)
            for one in queries.refunds_stuck(session, now=now)
        ],
        form=form,
    )
