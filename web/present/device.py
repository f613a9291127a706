"""One meter of the desk: its thresholds as fields, what was turned away and why, its latest runs."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from devices import queries as devices
from devices.certificates import Issued
from devices.codecs import families
from devices.discrepancies.queries import known_sessions
from devices.evidence import queries as evidence
from devices.flags.queries import open_by_device
from devices.live import queries as sensing
from devices.profile import Profile
from devices.registry.actions import MOST_CERTIFICATES, Beside, topic_of
from devices.rights import login_name
from devices.tables import Device, DeviceState, RejectedMessage
from devices.what_if import Foreseen, Run, Stretch
from marketplace.permissions import Actor
from marketplace.slot import Slot
from marketplace.tables import Resource
from web.present import flags, names, submeters
from web.present.bookings import run_row
from web.present.health import health
from web.present.meters import own_lives, stands_for
from web.present.rejections import reason_in_words
from web.views.desk import Rejected
from web.views.device import (
    CertificateRow,
    Certificates,
    DeviceView,
    ForeseenRun,
    NewCertificate,
    ReasonCount,
    Renewal,
    Sealed,
    WhatIf,
)
from web.views.frame import Form, Lang
from web.views.setup import Setup

POWERS = ("p_on", "p_off", "p_idle", "rated_w")
SPANS = ("min_on", "min_off", "stale_after", "max_gap")
RUNS_FROM = timedelta(days=7)
MOST_RUNS = 10
MOST_CERTIFICATES_SHOWN = 10
EVIDENCE_OF = timedelta(days=6)
MOST_MESSAGES = 20
MOST_COUNTED = 500
"""Turned-away messages whose reasons are counted; a broken device sends one a second."""


def device(
    session: Session,
    row: Device,
    place: Resource,
    actor: Actor,
    *,
    lang: Lang,
    now: datetime,
    beside: Beside,
    secret: Setup | None = None,
    certificates: Certificates | None = None,
    form: Form | None = None,
    foreseen: WhatIf | None = None,
) -> DeviceView:
    """The page with the thresholds in force or, after a refusal, as they were typed."""
    profile = devices.profile_of(session, row.id, at=now)
    old = devices.find_old_secret(session, row.id, at=now)
    turned_away = devices.rejected_of(session, row.key, limit=MOST_COUNTED)
    runs = known_sessions(session, [place.id], Slot(now - RUNS_FROM, now))
    alone = stands_for(session, place)
    live = names.live_of(session, [place.id], now=now)[place.id] if alone else own_lives(session, [row], now=now)[row.id]
    return DeviceView(
        id=row.id,
        name=row.name,
        key=row.key,
        topic=topic_of(row.key, profile.family),
        family=names.family_in_words(profile.family, lang),
        active=row.state is DeviceState.ACTIVE,
        revoked_at=row.revoked_at,
        last_message_at=row.last_message_at,
        resource_id=place.id,
        resource=names.name_of(place, lang),
        institution_id=place.institution_id,
        zone=place.timezone,
        questions=flags.rows(session, open_by_device(session, [row.id]).get(row.id, []), actor, lang),
        live=live,
        live_id=place.id if alone else row.id,
        health=health(session, row, profile, now=now),
        main=submeters.main_meter(session, row, place, lang, now=now),
        power=sensing.power_of_device(session, row.id),
        runs=[run_row(run) for device_id, run in reversed(runs) if device_id == row.id][:MOST_RUNS],
        rejected=devices.count_rejected(session, [row.key]).get(row.key, 0),
        reasons=_counted(turned_away, lang),
        messages=[message(one, lang) for one in turned_away[:MOST_MESSAGES]],
        secret=secret,
        renewal=Renewal(beside.value, old.ends_at if old else None, login_name(row.key, old.login_number) if old else ""),
        certificates=certificates,
        live_url=names.live_url([place.id], lang) if alone else names.meters_url([row.id], lang),
        sealed=_sealed(session),
        foreseen=foreseen,
        form=form or Form(as_fields(profile)),
    )


def certificates(session: Session, row: Device, *, now: datetime, new: NewCertificate | None = None) -> Certificates:
    found = [
        CertificateRow(one.serial, one.issued_at, one.expires_at, one.revoked_at, one.expires_at <= now)
        for one in devices.certificates_of(session, row.id)
    ]
    return Certificates(found[:MOST_CERTIFICATES_SHOWN], new, sum(one.counts for one in found) >= MOST_CERTIFICATES)


def new_certificate(row: Device, made: Issued, authority: str, family: str, host: str, port: int) -> NewCertificate:
    """Its files, and how a shell uses them."""
    files = {f"{row.key}.key": made.key, f"{row.key}.crt": made.certificate, "ca.crt": authority}
    addresses = {name: f"data:application/x-pem-file;base64,{b64encode(text.encode()).decode()}" for name, text in files.items()}
    client = f"mosquitto_pub -h {host} -p {port} -q 1 -i {row.key} --cafile ca.crt --cert {row.key}.crt --key {row.key}.key"
    return NewCertificate(addresses, host, port, f"{client} -t {topic_of(row.key, family)} -m '{families.shown(family)}'")


def what_if(found: Foreseen) -> WhatIf:
    stretches = found.stretches
    changed = [one for one in reversed(stretches) if one.differs]
    return WhatIf(
        since=found.since,
        now_s=sum(_seconds(one.now) for one in stretches),
        now_runs=sum(len(one.now) for one in stretches),
        then_s=sum(_seconds(one.then) for one in stretches),
        then_runs=sum(len(one.then) for one in stretches),
        changes=[_change(one) for one in changed[:MOST_RUNS]],
        more=max(0, len(changed) - MOST_RUNS),
        sealed_s=found.sealed_s,
    )


def _change(one: Stretch) -> ForeseenRun:
    spans = [run.slot for run in (*one.now, *one.then)]
    whole = Slot(min(span.start for span in spans), max(span.end for span in spans))
    return ForeseenRun(whole, _seconds(one.now), len(one.now), _seconds(one.then), len(one.then))


def _seconds(runs: Sequence[Run]) -> int:
    return sum(run.confirmed_s for run in runs)


def _sealed(session: Session) -> Sealed | None:
    last = evidence.last_seal(session)
    return Sealed(last.day - EVIDENCE_OF, last.day) if last else None


def as_fields(profile: Profile) -> dict[str, str]:
    """The thresholds as a person types them; empty where none is set.

    >>> as_fields(Profile(p_on=120.5))["p_on"], as_fields(Profile())["rated_w"]
    ('120.5', '')
    """
    values = asdict(profile)
    return {name: "" if values[name] is None else f"{values[name]:.10g}" for name in (*POWERS, *SPANS)}


def message(row: RejectedMessage, lang: Lang) -> Rejected:
    return Rejected(row.received_at, row.topic, reason_in_words(row.reason, lang), row.detail or "")


def _counted(rows: Sequence[RejectedMessage], lang: Lang) -> list[ReasonCount]:
    """Most frequent reason first; `rows` come newest first."""
    found: dict[str, list[datetime]] = {}
    for row in rows:
        found.setdefault(row.reason, []).append(row.received_at)
    counts = [ReasonCount(reason_in_words(code, lang), len(times), times[0]) for code, times in found.items()]
    return sorted(counts, key=lambda one: -one.count)
