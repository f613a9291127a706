"""What must hold between published figures and discrepancies."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from devices.discrepancies.tables import Cause, Discrepancy, SealedStretch
from evaluation.corrections import queries
from evaluation.tables import PublishedFigure, Revision

ANSWERED_WITHIN = timedelta(days=1)


def violations(session: Session) -> Iterator[str]:
    """A sentence each."""
    sealed = exists().where(SealedStretch.cause_id == Revision.id, SealedStretch.cause == Cause.EVALUATION)
    units = exists().where(PublishedFigure.revision_id == Revision.id, PublishedFigure.scope == "unit")
    for revision_id in session.scalars(select(Revision.id).where(Revision.number == 1, units, ~sealed)):
        yield f"what_a_published_evaluation_rests_on_is_sealed: {revision_id}"
    newest: datetime | None = session.scalar(select(func.max(Discrepancy.found_at)))
    if newest is None:
        return
    for revision in queries.revisions_with_discrepancies(session, until=newest - ANSWERED_WITHIN):
        for one in queries.unanswered(session, revision, until=newest - ANSWERED_WITHIN):
            place = f"{revision.period} of {revision.institution_id}"
            yield f"a_discrepancy_under_a_published_figure_is_answered: {one.id} in {place}"
