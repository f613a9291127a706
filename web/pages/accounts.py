"""The operator's page of accounts: every invariant as holding or broken, what differs from the provider, the closed days."""

from fastapi import APIRouter, Response

from billing.reconciling import actions as reconciling
from marketplace.refusals import Invalid
from web.deps import Db, Now, ReadDb, SignedIn
from web.pages.account import again
from web.pages.drawing import Drawing, Fields, text
from web.pages.operator import require_operator
from web.present.accounts import accounts
from web.refusals import status_of
from web.views.frame import Area

router = APIRouter(prefix="/{lang}/operator/accounts")
TEMPLATE = "operator_accounts.html"


@router.get("")
def page(pen: Drawing, db: ReadDb, actor: SignedIn) -> Response:
    require_operator(actor)
    return pen.page(TEMPLATE, accounts(db), area=Area.OPERATOR)


@router.post("/runs")
def run(pen: Drawing, _fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    """Have a worker run every check now."""
    require_operator(actor)
    reconciling.ask_run(db, cause=None, actor_id=actor.known_id, now=now)
    return pen.go("/operator/accounts")


@router.post("/findings/{finding_id}")
def resolve(pen: Drawing, finding_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    """Form: reason."""
    require_operator(actor)
    try:
        reconciling.resolve(db, finding_id=finding_id, reason=text(fields, "reason"), actor_id=actor.known_id, now=now)
    except Invalid as refusal:
        view = accounts(db, finding_id=finding_id, form=again(pen, fields, refusal))
        return pen.page(TEMPLATE, view, status=status_of(refusal), area=Area.OPERATOR)
    return pen.go("/operator/accounts", "saved")
