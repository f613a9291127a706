"""The editor of a resource's policy: what a change would have made of the last bills is shown before it is saved."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from billing import actions
from billing import policy as policies
from billing import queries as bills
from billing.lookback import effect
from billing.policy import MOST_MINUTES, MOST_TIERS, Basis
from billing.tariffs.taxes import Mode
from booking.places import lock_place
from marketplace.permissions import Action
from marketplace.refusals import Invalid, Stale
from marketplace.tables import Resource
from web.deps import Db, Now, ReadDb, SignedIn
from web.i18n import translator
from web.pages import tariff_form
from web.pages.account import again
from web.pages.desk import own_resource
from web.pages.drawing import Drawing, Fields, Pen, number, text, typed
from web.present import policy
from web.reasons import beside
from web.refusals import status_of
from web.views.frame import Area, FieldError, Form

router = APIRouter(prefix="/{lang}/desk/resources/{resource_id}/policy")
PERCENT = re.compile(r"[0-9]{1,5}(\.[0-9]{1,16})?")
HOURS = re.compile(r"[0-9]{1,4}(\.[0-9]{1,18})?")
DAYS = re.compile(r"[0-9]{1,3}")
MOST_PERCENT = {"overtime_mult": 10_000, "unused_rate": 100, "no_show_rate": 100}
MOST_WHOLE = {
    "increment_min": (1, MOST_MINUTES),
    "minimum_min": (0, MOST_MINUTES),
    "grace_min": (0, MOST_MINUTES),
    "overtime_max_min": (0, MOST_MINUTES),
    "dispute_hours": (0, 720),
    "late_data_hours": (0, 720),
}
MOST_DAYS = 366


@router.get("")
def page(pen: Drawing, resource_id: str, db: ReadDb, actor: SignedIn, now: Now, preset: str = "") -> Response:
    """With `preset` filled in by the rules of another institution; nothing is saved by that."""
    row = own_resource(db, actor, resource_id, Action.REVIEW_USE)
    view = policy.editor(db, row, actor, pen.lang, now=now, form=policy.filled(preset, row))
    return pen.page("policy.html", view, area=Area.DESK, zone=row.timezone)


@router.post("")
def edit(pen: Drawing, resource_id: str, fields: Fields, db: Db, actor: SignedIn, now: Now) -> Response:
    """The first time it shows the effect; sent back unchanged with that, it is saved."""
    row = own_resource(db, actor, resource_id, Action.LIST_RESOURCES)
    if text(fields, "seen") and not text(fields, "look"):
        lock_place(db, row.id)  # of two who save over the same version one comes second
    asked = read(policies.as_json(bills.policy_of(db, row.id)), fields, row.currency)
    try:
        _check_version(db, row, fields)
    except (Stale, Invalid) as refusal:
        return _again(pen, db, row, again(pen, fields, refusal), now, status_of(refusal))
    if asked.wrong:
        return _again(pen, db, row, Form(typed(fields), [_error(pen, one) for one in asked.wrong]), now, 422)
    token = policies.fingerprint(asked.document)
    if text(fields, "seen") == token and not text(fields, "look"):
        actions.set_policy(db, resource_id=row.id, policy=asked.document, actor_id=actor.known_id, now=now)
        return pen.go(f"/desk/resources/{row.id}/policy", "policy")
    found = effect(db, resource_id=row.id, policy=policies.parse(asked.document), now=now)
    view = policy.editor(db, row, actor, pen.lang, now=now, form=Form(typed(fields)), effect=found, seen=token)
    return pen.page("policy.html", view, area=Area.DESK, zone=row.timezone)


def _check_version(db: Session, row: Resource, fields: Fields) -> None:
    """Raises: Stale, Invalid."""
    version = bills.find_policy_version(db, row.id)
    present = version.number if version else 0
    if number(fields, "number", present) != present:
        raise Stale(version=present)


def _again(pen: Pen, db: Session, row: Resource, form: Form, now: Now, status: int) -> Response:
    """The form as typed, with what is wrong about it."""
    view = policy.editor(db, row, pen.actor, pen.lang, now=now, form=form)
    return pen.page("policy.html", view, status=status, area=Area.DESK, zone=row.timezone)


def _error(pen: Pen, refusal: Invalid) -> FieldError:
    """Beside its field; those of a tier are called by their column."""
    name = str(refusal.values["field"])
    column = re.sub(r"_\d+$", "", name)
    return FieldError(name, beside({**refusal.values, "field": column}, translator(pen.lang)))


@dataclass(frozen=True, slots=True)
class Asked:
    """The policy as typed, and everything that is wrong with it."""

    document: Mapping[str, Any]
    wrong: list[Invalid]


def read(present: Mapping[str, Any], fields: Fields, currency: str) -> Asked:
    """What the page does not show stays."""
    said, lines = _Said(fields), tariff_form.read(fields, currency)
    tiers = [tier for n in range(MOST_TIERS) if (tier := said.tier(n))]
    changed = {
        **{name: said.whole(name, *bounds) for name, bounds in MOST_WHOLE.items()},
        **{name: said.percent(name, most) for name, most in MOST_PERCENT.items()},
        "basis": said.basis(),
        "unused_free_if_rebooked": bool(text(fields, "unused_free")),
        "cancel_tiers": tiers,
        **{name: bool(text(fields, name)) for name in ("setup_billed", "cleanup_billed")},
        "tax": said.tax(),
    }
    if lines is None:
        return Asked({**present, **changed}, said.wrong)
    wrong = [*said.wrong, *lines.wrong]
    document = {**present, **changed, "class_prices": {}, "tariff": lines.rules}
    try:
        return Asked(document if wrong else policies.as_json(policies.parse(document)), wrong)
    except Invalid as refusal:
        return Asked(document, [lines.told(refusal)])


@dataclass(slots=True)
class _Said:
    """A form that is read to its end, whatever is wrong with it; a field that is gets a value of no meaning."""

    fields: Fields
    wrong: list[Invalid] = field(default_factory=list)
    limits: set[tuple[str, Decimal]] = field(default_factory=set)

    def whole(self, name: str, least: int, most: int) -> int:
        try:
            found = number(self.fields, name)
        except Invalid as refusal:
            self.wrong.append(refusal)
            return least
        if not least <= found <= most:
            self.wrong.append(Invalid(field=name, reason="must be {low} to {high}", low=least, high=most))
        return found

    def percent(self, name: str, most: int) -> str:
        """As a policy has rates: 1 is the whole price."""
        typed_text = text(self.fields, name)
        if not PERCENT.fullmatch(typed_text) or Decimal(typed_text) > most:
            self.wrong.append(Invalid(field=name, reason="must be {low} to {high}", low=0, high=most))
            return "0"
        return format(Decimal(typed_text).scaleb(-2).normalize(), "f")

    def basis(self) -> str:
        found = text(self.fields, "basis")
        if found not in set(Basis):
            self.wrong.append(Invalid(field="basis", reason="choose one of the list"))
        return found

    def tax(self) -> dict[str, str] | None:
        rate = self.percent("tax_rate", 100) if text(self.fields, "tax_rate") else "0"
        mode = Mode.ADDED if text(self.fields, "tax_mode") == Mode.ADDED else Mode.INCLUDED
        return {"rate": rate, "mode": mode.value} if Decimal(rate) else None

    def tier(self, n: int) -> dict[str, Any] | None:
        """The line's tier; None where nothing is typed into it."""
        limit = text(self.fields, f"limit_{n}")
        if not limit and not text(self.fields, f"rate_{n}"):
            return None
        unit = "days" if text(self.fields, f"unit_{n}") == "days" else "hours"
        rate = self.percent(f"rate_{n}", 100)
        most, shape = (MOST_DAYS, DAYS) if unit == "days" else (MOST_DAYS * 24, HOURS)
        if not shape.fullmatch(limit) or Decimal(limit) > most:
            self.wrong.append(Invalid(field=f"limit_{n}", reason="must be {low} to {high}", low=0, high=most))
            return None
        if (unit, Decimal(limit)) in self.limits:
            self.wrong.append(Invalid(field=f"limit_{n}", reason="there is a line with this limit already"))
        self.limits.add((unit, Decimal(limit)))
        exact = int(limit) if unit == "days" else format(Decimal(limit).normalize(), "f")
        return {unit: exact, "rate": rate}
