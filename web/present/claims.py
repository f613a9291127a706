"""A claim on a programme: its bills, how each was answered, what is to be passed on to institutions."""

from sqlalchemy.orm import Session

from billing.claims import queries as claims
from billing.claims.tables import ProgrammeClaim
from billing.programmes.tables import FundingProgramme
from marketplace.money import Money
from marketplace.people import queries as people
from web.present import names
from web.present.bookings import number_of
from web.present.programmes import claim_row, name_of
from web.views.frame import EMPTY_FORM, Form, Lang
from web.views.programmes import ClaimLineRow, ClaimView, PassingRow


def claim(session: Session, row: FundingProgramme, found: ProgrammeClaim, *, lang: Lang, form: Form = EMPTY_FORM) -> ClaimView:
    lines = claims.lines_of(session, found.id)
    firms = {one.id: one.name for one in people.organisations(session, {line.entitlement.organisation_id for line in lines})}
    due = claims.to_pass_on(session, found, row)
    ids = {line.statement.institution_id for line in lines} | {one.institution_id for one in due}
    houses = names.institution_names(session, ids, lang)
    return ClaimView(
        programme_id=row.id,
        programme=name_of(row, lang),
        mode=row.mode.value,
        claim=claim_row(found),
        lines=[
            ClaimLineRow(
                booking_id=line.share.booking_id,
                number=number_of(line.statement),
                organisation=firms.get(line.entitlement.organisation_id, ""),
                institution=houses.get(line.statement.institution_id, ""),
                reference=line.entitlement.reference or "",
                amount=Money(line.share.amount_minor, found.currency),
                state=line.share.state.value,
                reason=line.line.reason or "",
            )
            for line in lines
        ],
        passing=[
            PassingRow(
                one.institution_id, houses.get(one.institution_id, ""), one.amount, one.passed.serial if one.passed else None
            )
            for one in due
        ],
        form=form,
        zone=row.timezone,
    )
