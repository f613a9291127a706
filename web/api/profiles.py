"""How a device's messages are read, over JSON: seen, tried on its last messages, and changed from now on."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import StringConstraints

from devices import profile_files, queries, trial
from devices.registry import actions
from marketplace.refusals import Invalid
from web.api import reading, shapes
from web.api.devices import own
from web.deps import Db, Now, OneAnswer, ReadDb, SignedIn

router = APIRouter(prefix="/api/v1", tags=["devices"])


class ProfileIn(shapes.Shape):
    """A payload family by name, a mapping, or Home Assistant's discovery messages; or the same as the text of a profile file.

    What is left out stays.
    """

    profile: shapes.Text | dict[str, Any] | None = None
    toml: Annotated[str, StringConstraints(strip_whitespace=False, max_length=profile_files.LONGEST)] | None = None
    zone: shapes.Text | None = None
    max_skew: float | None = None
    max_future: float | None = None
    backfill: float | None = None
    series: list[str] | None = None

    def values(self) -> dict[str, Any]:
        """For `devices.profile.read_profile`. Raises: Invalid."""
        if self.toml is not None and self.profile is not None:
            raise Invalid(field="toml", reason="is given beside profile: give one of them")
        written = profile_files.read_text(self.toml) if self.toml is not None else {}
        family = {} if self.profile is None else {"family": self.profile}
        asked = self.model_dump(include=set(profile_files.READING), exclude_none=True)
        return {**written, **family, **asked}


@router.get("/devices/{device_id}/profile")
def profile(device_id: str, db: ReadDb, actor: SignedIn, now: Now) -> dict[str, Any]:
    row = own(db, actor, device_id)
    return reading.shape(queries.profile_of(db, row.id, at=now))


@router.post("/devices/{device_id}/profile")
def set_profile(
    device_id: str,
    body: ProfileIn,
    once: OneAnswer,
    db: Db,
    actor: SignedIn,
    now: Now,
    *,
    dry_run: Annotated[bool, Query()] = False,
) -> Response:
    """From now on; with `dry_run` nothing is stored, and the answer tells what the last messages say now and would say then."""
    row = own(db, actor, device_id)
    values = body.values()

    def make() -> dict[str, Any]:
        if not dry_run:
            found = actions.set_profile(db, device_id=row.id, profile=values, actor_id=actor.known_id, now=now)
            return {**reading.shape(found), **reading.imported(values.get("family"))}
        other = actions.changed_profile(db, row.id, values, now=now)
        tried = trial.try_on(db, row, queries.profile_of(db, row.id, at=now), other)
        messages = [reading.message(one) for one in tried]
        return {**reading.shape(other), **reading.imported(values.get("family")), "messages": messages}

    try:
        return once.answer(200, make)
    except Invalid as refusal:
        raise profile_files.with_line(refusal, body.toml or "") from refusal
