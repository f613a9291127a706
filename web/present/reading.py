"""One meter's last messages as rows, each with what is read out of it."""

from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from devices import queries as devices
from devices import trial
from devices.codecs import families
from devices.profile import Profile
from devices.profile_files import as_text, described_as_text
from devices.readings import Rejected
from devices.tables import Device
from marketplace.tables import Resource
from web.present import names
from web.present.rejections import reason_in_words
from web.views.frame import Form, Lang
from web.views.reading import MessageRow, ReadingView, SaidRow, ValueRow

LONGEST_SHOWN = 700
"""Characters of a payload."""


def reading(
    session: Session,
    row: Device,
    place: Resource,
    *,
    lang: Lang,
    now: datetime,
    form: Form | None = None,
    other: Profile | None = None,
) -> ReadingView:
    """The page with the profile in force or, while another is written, as it was typed."""
    profile = devices.profile_of(session, row.id, at=now)
    tried = trial.try_on(session, row, profile, other)
    described = families.FAMILIES[profile.family].described if profile.family in families.FAMILIES else None
    return ReadingView(
        id=row.id,
        name=row.name,
        family=names.family_in_words(profile.family, lang),
        resource_id=place.id,
        resource=names.name_of(place, lang),
        zone=place.timezone,
        rows=[message(one, place.timezone, lang) for one in tried],
        tried=other is not None,
        changed=sum(one.differs for one in tried) if other else 0,
        template="\n".join(described_as_text(described)).strip() if described else "",
        form=form or Form({"profile": as_text(profile)}),
    )


def message(one: trial.Tried, zone: str, lang: Lang) -> MessageRow:
    envelope = one.heard.envelope
    text = envelope.payload.decode(errors="replace")
    return MessageRow(
        received_at=envelope.received_at,
        clock=_clock(envelope.received_at, zone),
        topic=envelope.topic,
        payload=text[:LONGEST_SHOWN],
        is_cut=len(text) > LONGEST_SHOWN or not one.heard.is_whole,
        retain=envelope.retain,
        turned_away=one.heard.turned_away is not None,
        now=_said(one.now, envelope.received_at, zone, lang),
        then=_said(one.then, envelope.received_at, zone, lang),
        differs=one.differs,
    )


def _said(said: trial.Said | None, received_at: datetime, zone: str, lang: Lang) -> SaidRow | None:
    if said is None:
        return None
    if isinstance(said, Rejected):
        return SaidRow(reason=reason_in_words(said.reason.value, lang), detail=said.detail)
    return SaidRow([_value(one, received_at, zone) for one in said])


def _value(one: trial.Value, received_at: datetime, zone: str) -> ValueRow:
    clock = _clock(one.at, zone) if one.at and one.at != received_at else ""
    return ValueRow(one.power_w, one.energy_wh, one.state, one.online, one.metric, clock, one.note, one.beats)


def _clock(at: datetime, zone: str) -> str:
    return f"{at.astimezone(ZoneInfo(zone)):%H:%M:%S}"
