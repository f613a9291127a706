"""One meter on its way from nothing to the first confirmed minutes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from devices import queries as devices
from devices.health import queries as health
from devices.health.rhythm import interval_s
from devices.health.watching import Word, last_words, pulse_of, recent, words_within
from devices.measuring import proposing
from devices.measuring.proposing import Half, Point, Proposal
from devices.measuring.queries import find_measurement
from devices.measuring.tables import Measurement
from devices.profile import Profile
from devices.readings import Reason
from devices.tables import Device, DeviceState, RejectedMessage
from marketplace.slot import Slot
from marketplace.tables import Resource
from web.charts import power_graph
from web.present import names
from web.present.health import clock_view
from web.present.meters import kinds, own_lives, stands_for
from web.present.rejections import reason_in_words, remedy_in_words
from web.qr import code_of
from web.views.connect import ArrivalView, ConnectView, MeasuringView, TurnedAway
from web.views.device import WhatIf
from web.views.frame import Form, Lang
from web.views.setup import Setup

SILENT_AFTER = timedelta(minutes=3)
RECENT = timedelta(hours=1)
MOST_REJECTED = 200
FORGOTTEN = timedelta(hours=12)
"""A measurement that nobody came back to."""
MOST_LOOKS = 1200
"""Of an open page that nobody looks at: an hour."""
ENOUGH_S = 60
"""Of confirmed use, to stop asking for more."""
OFTEN_S = 30.0
SLOWER = "TelePeriod 60"
FIELDS = ("p_on", "p_off", "stale_after", "max_gap")


@dataclass(frozen=True, slots=True)
class Shown:
    """What a step that was just made adds to the page."""

    form: Form | None = None
    foreseen: WhatIf | None = None
    looks: int = 0
    """How often the page has renewed itself before."""


def connect(
    session: Session, row: Device, place: Resource, *, setup: Setup, base_url: str, lang: Lang, now: datetime, shown: Shown
) -> ConnectView:
    profile = devices.profile_of(session, row.id, at=now)
    words = last_words(session, row, profile)
    arrival = _arrival(session, row, profile, words, lang, now)
    measuring = _measuring(session, row, profile, words, now, shown.form)
    saved = measuring.stage == "saved"
    measured = find_measurement(session, row.id)
    confirmed = _confirmed(session, row, measured.saved_at, now) if saved and measured and measured.saved_at else None
    address = f"{base_url.rstrip('/')}/{lang.value}/desk/devices/{row.id}/connect"
    alone = stands_for(session, place)
    live = names.live_of(session, [place.id], now=now)[place.id] if alone else own_lives(session, [row], now=now)[row.id]
    typing = shown.foreseen or measuring.form.errors or measuring.stage in ("proposed", "unfit")
    waits = not typing and (confirmed or 0) < ENOUGH_S
    return ConnectView(
        id=row.id,
        name=row.name,
        family=names.family_in_words(profile.family, lang),
        kinds=kinds(lang, profile.family),
        active=row.state is DeviceState.ACTIVE,
        resource_id=place.id,
        resource=names.name_of(place, lang),
        zone=place.timezone,
        address=address,
        page_code=code_of(address),
        setup=setup,
        arrival=arrival,
        measuring=measuring,
        live=live,
        live_url=names.live_url([place.id], lang) if alone else names.meters_url([row.id], lang),
        live_id=place.id if alone else row.id,
        confirmed_s=confirmed,
        polls=waits and shown.looks < MOST_LOOKS,
        looks=shown.looks,
        tired=waits and shown.looks >= MOST_LOOKS,
        slower=SLOWER if profile.family == "tasmota" and saved and (arrival.interval_s or OFTEN_S) < OFTEN_S else "",
        foreseen=shown.foreseen,
    )


def _arrival(
    session: Session, row: Device, profile: Profile, words: Sequence[Word], lang: Lang, now: datetime
) -> ArrivalView:  # fmt: skip
    pulse, last = pulse_of(words), words[-1].received_at if words else row.last_message_at
    since = max(now - RECENT, row.created_at)
    turned_away = [
        one
        for one in devices.rejected_of(session, row.key, limit=MOST_REJECTED)
        if one.received_at >= since and (last is None or one.received_at > last)
    ]
    silent = last is not None and now - last > profile.span("stale_after")
    waited = now - (last or row.created_at)
    wrong = health.count_since(session, "", since=since, reason=Reason.WRONG_LOGIN.value, most=100) if last is None else 0
    return ArrivalView(
        stage="rejected" if turned_away else "nothing" if last is None else "silent" if silent else "understood",
        waited_min=int(waited / timedelta(minutes=1)),
        long=waited > SILENT_AFTER,
        last_at=last,
        ago_s=max(int((now - last) / timedelta(seconds=1)), 0) if last else 0,
        power_w=pulse.power_w,
        energy_wh=pulse.energy_wh,
        state=pulse.state,
        interval_s=pulse.interval_s,
        clock=clock_view(pulse, profile),
        rejected=_counted(turned_away, lang),
        wrong_logins=wrong,
    )


def _counted(rows: Sequence[RejectedMessage], lang: Lang) -> list[TurnedAway]:
    """By reason, each with its newest; `rows` come newest first."""
    found: dict[str, list[RejectedMessage]] = {}
    for row in rows:
        found.setdefault(row.reason, []).append(row)
    return [
        TurnedAway(
            reason_in_words(code, lang), remedy_in_words(code, lang), len(of), of[0].received_at, of[0].topic, of[0].detail
        )
        for code, of in found.items()
    ]  # fmt: skip


def _measuring(
    session: Session, row: Device, profile: Profile, words: Sequence[Word], now: datetime, typed: Form | None
) -> MeasuringView:
    """As far as the measurement has come, with what was typed over what it proposes."""
    found = find_measurement(session, row.id)
    lately = pulse_of(recent(words, now=now, within=RECENT))
    span_s = proposing.span_of(lately.interval_s).seconds
    if found and found.saved_at:
        return MeasuringView("saved", span_s)
    if row.last_message_at is None:
        return MeasuringView("early", span_s)
    if words and all(one.power_w is None for one in words):
        return MeasuringView("by_state" if lately.state or pulse_of(words).state else "no_power", span_s)
    if found is None or now - (found.run_at or found.idle_at) > FORGOTTEN:
        return MeasuringView("begin", span_s)
    return _halves(session, row, profile, found, now, lately.interval_s, typed)


def _halves(
    session: Session, row: Device, profile: Profile, found: Measurement, now: datetime, every_s: float | None, typed: Form | None
) -> MeasuringView:
    idle = _half(session, row, profile, found.idle_at, found.run_at, now, every_s)
    run = _half(session, row, profile, found.run_at, None, now, every_s) if found.run_at else None
    present = run or idle
    stage = "idle" if not idle.complete and run is None else "between" if run is None else "run"
    proposal: Proposal | proposing.Unfit | None = None
    if run and run.complete:
        proposal = _proposal(idle, run, profile)
        stage = "proposed" if isinstance(proposal, Proposal) else "unfit"
    points = [*idle.watts, *(run.watts if run else [])]
    told = proposal if isinstance(proposal, Proposal) else None
    return MeasuringView(
        stage=stage,
        span_s=max(60, int((present.ends_at - (found.run_at or found.idle_at)).total_seconds())),
        left_s=present.left_s(now),
        count=len(present.watts),
        too_slow=present.too_slow,
        idle_w=_middle(idle.watts),
        run_w=_middle(run.watts) if run else None,
        unfit=proposal.value if isinstance(proposal, proposing.Unfit) else "",
        graph=power_graph(points, told.p_on if told else None, told.p_off if told else None) if len(points) > 1 else None,
        form=typed or Form({name: f"{getattr(told, name):.10g}" for name in FIELDS} if told else {}),
    )


def _half(
    session: Session, row: Device, profile: Profile, began: datetime, ended: datetime | None, now: datetime, every_s: float | None
) -> Half:
    until = min(ended or now, began + proposing.LONGEST)
    words = words_within(session, row, profile, Slot(began, until)) if began < until else []
    points: list[Point] = [(one.received_at, one.power_w) for one in words if one.live and one.power_w is not None]
    return proposing.half(points, began=began, now=now, interval_s=every_s)


def _proposal(idle: Half, run: Half, profile: Profile) -> Proposal | proposing.Unfit:
    every_s = max(interval_s([at for at, _ in half.watts]) or 0.0 for half in (idle, run))
    return proposing.propose([watts for _, watts in idle.watts], [watts for _, watts in run.watts], every_s, profile)


def _middle(watts: Sequence[Point]) -> float | None:
    ordered = sorted(power for _, power in watts)
    return ordered[len(ordered) // 2] if ordered else None


def _confirmed(session: Session, row: Device, since: datetime, now: datetime) -> int:
    """Of the runs that have been seen since then."""
    if since >= now:
        return 0
    runs = devices.sessions_of_resource(session, row.resource_id, within=Slot(since, now))
    return sum(run.confirmed_s for run in runs if run.device_id == row.id)
