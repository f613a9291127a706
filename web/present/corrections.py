"""Why a bill was corrected, as its own lines name it."""

from sqlalchemy.orm import Session

from billing.tables import Statement
from devices.discrepancies import queries
from marketplace.permissions import Action, Actor, may
from marketplace.slot import Slot
from web.views.frame import Lang
from web.views.statement import Because


def because(session: Session, made: Statement, actor: Actor, lang: Lang) -> list[Because]:
    """What a bill's correction names; who works there is led to all of the institution's."""
    ids = {one for line in made.lines for one in line.get("discrepancies", ())}
    own = {Action.REVIEW_USE, Action.HANDLE_MONEY}
    leads = any(may(actor, action, institution_id=made.institution_id) for action in own)
    address = f"/{lang.value}/desk/discrepancies?institution={made.institution_id}"
    return [
        Because(
            Slot(one.starts_at, one.ends_at), one.found_at, one.was_s, one.would_be_s, f"{address}#{one.id}" if leads else None
        )
        for one in queries.by_ids(session, ids)
    ]
