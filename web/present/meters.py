"""The meters of a machine: how each does, and how a new one is told where to send."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from booking.lines.queries import parts_of
from devices import queries as devices
from devices.codecs import families
from devices.flags import queries as flags
from devices.live import queries as sensing
from devices.live.queries import Live as Signal
from devices.live.queries import LiveState
from devices.profile import Profile
from devices.registry import wiring
from devices.registry.actions import Credentials, topic_of
from devices.rights import login_name
from devices.submeters.queries import mains_of
from devices.tables import Device
from marketplace.catalogue import queries as catalogue
from marketplace.permissions import Action, Actor, may
from marketplace.tables import Resource
from web.i18n import translator
from web.labels import word
from web.present import names, submeters
from web.present.rejections import reason_in_words
from web.qr import code_of
from web.views.desk import DeviceRow, DevicesView, Rejected
from web.views.frame import EMPTY_FORM, Choice, Form, Lang, Live
from web.views.setup import Setup

FAMILIES = ("tasmota", "shelly2", "shelly1", "zigbee2mqtt", "acrel", "dtu", "native", "sparkplug", "homie", "mtconnect", "opcua")
"""The plugs that most retrofits use first; all that can be chosen, which a test checks."""
UNKNOWN_SECRET = "SECRET"


def meters(
    session: Session, row: Resource, actor: Actor, *, lang: Lang, now: datetime, form: Form = EMPTY_FORM
) -> DevicesView:  # fmt: skip
    rows = devices.devices_of(session, row.id)
    counts = devices.count_rejected(session, [one.key for one in rows])
    asked = flags.open_by_device(session, [one.id for one in rows])
    turned_away = [
        Rejected(one.received_at, one.topic, reason_in_words(one.reason, lang), one.detail or "")
        for meter in rows
        for one in devices.rejected_of(session, meter.key, limit=10)
    ]
    alone = stands_for(session, row)
    mains = mains_of(session, rows, at=now)
    live = {rows[0].id: names.live_of(session, [row.id], now=now)[row.id]} if alone else own_lives(session, rows, now=now)
    return DevicesView(
        resource_id=row.id,
        resource=names.name_of(row, lang),
        institution_id=row.institution_id,
        zone=row.timezone,
        devices=[
            _meter(
                session, one, live[one.id], counts.get(one.key, 0), len(asked.get(one.id, ())), now, lang,
                live_id=row.id if alone else one.id, main=mains.get(one.id),
            )
            for one in rows
        ],
        families=kinds(lang),
        mains=submeters.choices(session, row, lang),
        stations=_stations(session, row, lang),
        rejected=turned_away,
        can_edit=may(actor, Action.MANAGE_DEVICES, institution_id=row.institution_id),
        live_url=names.live_url([row.id], lang) if alone else names.meters_url([one.id for one in rows], lang),
        form=form,
    )  # fmt: skip


def _stations(session: Session, place: Resource, lang: Lang) -> list[Choice]:
    counts = sensing.meters_below(session, [place.id])[place.id]
    rows = sorted(catalogue.resources(session, counts), key=lambda row: row.name)
    return [Choice(row.id, names.name_of(row, lang), count=counts[row.id]) for row in rows]


def kinds(lang: Lang, chosen: str = FAMILIES[0]) -> list[Choice]:
    """What can be connected, in plain words."""
    _ = translator(lang)
    return [Choice(code, word(_, "meter_kind", code), code == chosen) for code in FAMILIES]


def stands_for(session: Session, place: Resource) -> bool:
    """Whether its only meter is all that is known of it: then what is live of the one is of the other."""
    return len(devices.devices_of(session, place.id, limit=2)) == 1 and len(parts_of(session, [place.id])[place.id]) == 1


def own_lives(session: Session, rows: Sequence[Device], *, now: datetime) -> dict[str, Live]:
    """By id, each of several meters: what it says itself, or that it never said anything."""
    found = sensing.meters_now(session, rows, now=now)
    return {row.id: _own(row, found[row.id]) for row in rows}


def _own(row: Device, found: LiveState) -> Live:
    state = "never" if row.last_message_at is None and found.state is Signal.UNKNOWN else found.state.value
    return Live(state, None, found.since, found.power_w)


def _meter(
    session: Session, one: Device, live: Live, rejected: int, questions: int, now: datetime, lang: Lang, *, live_id: str,
    main: Device | None,
) -> DeviceRow:  # fmt: skip
    family = names.family_in_words(devices.profile_of(session, one.id, at=now).family, lang)
    return DeviceRow(
        one.id, one.name, one.key, family, one.state.value, one.online, one.last_message_at, live.power_w,
        live, rejected, questions, live_id, main.name if main else None,
    )  # fmt: skip


def setup(row: Device, known: Credentials | None, profile: Profile, host: str, port: int) -> Setup:
    """What is pasted into the plug's console, a bridge from another broker, or a first message from a shell."""
    described, how = families.find(profile.family, profile.mapping), profile.family
    secret = known.secret if known else UNKNOWN_SECRET
    command = described.setup if described else ""
    login = login_name(row.key, row.login_number)
    for name, value in {"host": host, "port": port, "key": row.key, "login": login, "secret": secret}.items():
        command = command.replace(f"{{{name}}}", str(value))
    if profile.family == families.MAPPING and described:
        command = wiring.bridge(described.described or {}, host=host, port=port, key=row.key, login=login, secret=secret)
        how = "bridge"
    topic = topic_of(row.key, profile.family)
    address = f"mqtt://{login}:{secret}@{host}:{port}"
    client = f"mosquitto_pub -h {host} -p {port} -q 1 -i {login} -u {login} -P '{secret}' -t {topic.replace('#', 't')}"
    trial = "" if families.needs_birth(profile.family, profile.mapping) else f"{client} -m '{families.shown(profile.family)}'"
    return Setup(
        device_id=row.id,
        name=row.name,
        key=row.key,
        login=login,
        secret=known.secret if known else "",
        host=host,
        port=port,
        topic=topic,
        command=command or trial,
        how=how if command else "try" if trial else "",
        trial=trial if command else "",
        code=code_of(command or address) if known else None,
    )
