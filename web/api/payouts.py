"""Where an institution is paid, over JSON; the operator says it."""

from typing import Any

from fastapi import APIRouter

from billing import queries
from billing.payments import payouts
from marketplace.permissions import Actor
from marketplace.refusals import NotFound
from web.api.shapes import Shape, Text
from web.deps import Db, Now, ReadDb, SignedIn

router = APIRouter(prefix="/api/v1/institutions/{institution_id}/payout-account", tags=["billing"])


class AccountIn(Shape):
    """Its id at the provider."""

    account_id: Text


@router.get("")
def read(institution_id: str, db: ReadDb, actor: SignedIn) -> dict[str, Any]:
    _require_operator(actor)
    row = queries.find_payout_account(db, institution_id)
    if row is None:
        raise NotFound(kind="payout_account")
    return {"institution_id": institution_id, "account_id": row.account_id}


@router.put("", response_model=None)
def change(institution_id: str, body: AccountIn, db: Db, actor: SignedIn, now: Now) -> dict[str, Any]:
    """What is owed goes there from now on."""
    _require_operator(actor)
    payouts.set_payout_account(db, institution_id=institution_id, account_id=body.account_id, actor_id=actor.known_id, now=now)
    return {"institution_id": institution_id, "account_id": body.account_id}


def _require_operator(actor: Actor) -> None:
    """For everybody else it is not there. Raises: NotFound."""
    if not actor.is_operator:
        raise NotFound(kind="institution")
