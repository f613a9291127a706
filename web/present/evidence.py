"""The seals as a page."""

from sqlalchemy.orm import Session

from devices.evidence import queries
from web.views.evidence import EvidenceView, SealRow

ON_A_PAGE = 31


def seals(session: Session, *, before: int | None) -> EvidenceView:
    rows = queries.latest_seals(session, limit=ON_A_PAGE + 1, before=before)
    shown = [
        SealRow(row.number, row.day, row.records, queries.signed(row).seal.digest(), row.root, row.signature, row.sealed_at)
        for row in rows[:ON_A_PAGE]
    ]
    return EvidenceView(shown, rows[0].key if rows else None, shown[-1].number if len(rows) > ON_A_PAGE else None)
