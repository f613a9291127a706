"""Connecting a meter on pages without a browser: every step by forms and reloads, in both languages."""

import re
from datetime import datetime, timedelta

import pytest

from devices import actions
from devices import queries as devices
from devices.codecs.families import FAMILIES as KNOWN
from devices.denials import Denial
from devices.intake import actions as intake
from devices.measuring import actions as measuring
from devices.measuring.tables import Measurement
from devices.readings import Envelope, Reason
from marketplace import clock
from tests.web.desks import Desk, error_beside
from web.meter_words import METER_IS, METER_KIND
from web.present.connect import MOST_LOOKS
from web.present.meters import FAMILIES

SECOND = timedelta(seconds=1)
FIELD = re.compile(r'name="(p_on|p_off|stale_after|max_gap)"[^>]* value="([^"]*)"')
SEES = {"en": ("Nothing yet", "Understood", "shown this once"), "zh": ("尚无消息", "已读懂", "密钥只显示这一次")}


def a_meter(desk: Desk, family: str = "native") -> tuple[str, str, str]:
    """Its id, its key and the page with the secret."""
    shown = desk.reader("technician").post(f"/desk/resources/{desk.resource}/devices", name="主电源", family=family)
    assert shown.status_code == 201
    device = re.search(r"/desk/devices/(\w+)/connect", shown.text)
    key = re.search(r'<dd class="mono">(k\w{12})</dd>', shown.text)
    assert device
    assert key
    return device[1], key[1], shown.text


def says(desk: Desk, key: str, *powers: tuple[datetime, float]) -> None:
    with desk.database() as session:
        intake.store(session, [Envelope(f"d/{key}/t", b'{"p": %.1f, "e": 1200}' % watts, at) for at, watts in powers])
        while actions.fold_devices(session, now=max(at for at, _ in powers)):
            pass
        session.commit()


def shows(desk: Desk, device: str, lang: str = "en") -> str:
    return desk.reader("technician").get(f"/desk/devices/{device}/connect", lang=lang).text


def began(desk: Desk, device: str, idle_at: datetime, run_at: datetime | None) -> None:
    """The clock of the pages is the real one: the halves are laid into the past."""
    with desk.database() as session:
        measuring.begin_idle(session, device_id=device, now=idle_at)
        if run_at:
            measuring.begin_run(session, device_id=device, now=run_at)
        session.commit()


def test_every_family_can_be_chosen_and_has_plain_words(desk: Desk) -> None:
    assert set(FAMILIES) == set(KNOWN) == set(METER_KIND) == set(METER_IS)
    page = desk.reader("technician").get(f"/desk/resources/{desk.resource}/devices").text
    assert re.findall(r'name="family" value="(\w+)"', page) == list(FAMILIES)
    assert page.count(" checked>") == 1


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_pasted_names_host_key_and_secret_and_the_secret_is_told_once(desk: Desk, family: str) -> None:
    device, key, shown = a_meter(desk, family)
    secret = re.search(r'<dd class="mono">([\w-]{32})</dd>', shown)
    assert secret
    assert shown.count('class="qr"') == 2
    later = shows(desk, device)
    assert secret[1] not in later
    assert later.count('class="qr"') == 1  # the page's own address
    pasted = re.search(r'id="command">([^<]+)<', shown)
    if family == "sparkplug":
        assert not pasted  # no shell speaks it
        return
    assert pasted
    assert [word in pasted[1] for word in ("broker.example", key, secret[1])] == [True] * 3
    again = re.search(r'id="command">([^<]+)<', later)
    assert again
    assert again[1] == pasted[1].replace(secret[1], "SECRET")


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_what_arrives_is_told_step_by_step(desk: Desk, lang: str) -> None:
    reader = desk.reader("technician")
    shown = reader.post(f"/desk/resources/{desk.resource}/devices", lang=lang, name="主电源", family="native").text
    nothing, understood, once = SEES[lang]
    assert once in shown
    assert nothing in shown
    device, key = (re.search(pattern, shown) for pattern in (r"/desk/devices/(\w+)/connect", r'<dd class="mono">(k\w{12})</dd>'))
    assert device
    assert key
    now = clock.now()
    with desk.database() as session:
        intake.store(session, [Envelope(f"d/{key[1]}/t", b"{", now), Envelope(f"d/{key[1]}/x", b"{}", now)])
        session.commit()
    turned_away = shows(desk, device[1], lang)
    assert turned_away.count("1× · ") == 2
    assert nothing not in turned_away
    says(desk, key[1], *((now + n * SECOND, 742.0) for n in range(1, 4)))
    page = shows(desk, device[1], lang)
    assert understood in page
    assert "742 W" in page
    assert "1.200 kWh" in page


def test_what_usually_is_wrong_is_told_after_a_while_with_what_the_broker_refused(desk: Desk) -> None:
    device, key, shown = a_meter(desk)
    assert "What usually is wrong" not in shown
    now = clock.now()
    with desk.database() as session:
        devices.get_device(session, device).created_at = now - timedelta(minutes=10)
        intake.store_denials(session, [Denial("rej_1", Reason.WRONG_LOGIN, "", "", 0, now - timedelta(minutes=5))])
        session.commit()
    page = shows(desk, device)
    assert "What usually is wrong" in page
    assert "turned away 1 login with a wrong name or secret" in page
    with desk.database() as session:
        intake.store_denials(session, [Denial("rej_2", Reason.FOREIGN_TOPIC, key, "tele/plug/SENSOR", 20, now - SECOND)])
        session.commit()
    page = shows(desk, device)
    assert "a meter may send below its own key only" in page
    assert "tele/plug/SENSOR" in page


def test_only_the_part_that_changes_is_drawn_again_and_it_stops_asking(desk: Desk) -> None:
    device, key, _ = a_meter(desk)
    client = desk.reader("technician").client
    part = client.get(f"/en/desk/devices/{device}/connect", headers={"hx-request": "true"}).text
    assert "<html" not in part
    assert 'hx-trigger="every 3s"' in part
    assert "/connect?looks=1" in part
    tired = client.get(f"/en/desk/devices/{device}/connect?looks={MOST_LOOKS}", headers={"hx-request": "true"}).text
    assert "hx-trigger" not in tired
    assert "rests now" in tired
    now = clock.now()
    idle = [(now - (200 - 10 * n) * SECOND, 40.0) for n in range(7)]
    run = [(now - (100 - 10 * n) * SECOND, 2400.0) for n in range(7)]
    says(desk, key, *idle, *run)
    began(desk, device, now - 205 * SECOND, now - 105 * SECOND)
    part = client.get(f"/en/desk/devices/{device}/connect", headers={"hx-request": "true"}).text
    assert "Proposed thresholds" in part
    assert "hx-trigger" not in part  # what is typed stays


def test_two_halves_lead_to_thresholds_that_are_seen_and_saved(desk: Desk) -> None:
    device, key, _ = a_meter(desk)
    reader, now = desk.reader("technician"), clock.now()
    path = f"/desk/devices/{device}/connect"
    says(desk, key, *((now - (400 - 10 * n) * SECOND, 40.0) for n in range(10)))
    assert "It takes 60 s" in shows(desk, device)
    assert reader.post(path, step="run").status_code == 409
    assert "Leave it idle" in reader.post(path, step="idle").text
    began(desk, device, now - 400 * SECOND, None)
    assert "Now start the machine" in shows(desk, device)
    assert "Keep it working" in reader.post(path, step="run").text
    says(desk, key, *((now - (200 - 10 * n) * SECOND, 2400.0) for n in range(10)))
    began(desk, device, now - 400 * SECOND, now - 205 * SECOND)
    proposed = dict(FIELD.findall(shows(desk, device)))
    assert proposed == {"p_on": "310", "p_off": "111", "stale_after": "180", "max_gap": "900"}
    wrong = reader.post(path, **{**proposed, "p_off": "400"}, step="save")
    assert wrong.status_code == 422
    assert "must lie below" in error_beside(wrong.text, "p_off")
    seen = reader.post(path, **proposed, step="look").text
    assert "What these thresholds would have made" in seen
    saved = reader.post(path, **proposed, step="save")
    assert saved.status_code == 200
    assert "The thresholds are saved" in saved.text
    with desk.database() as session:
        profile = devices.profile_of(session, device, at=clock.now())
    assert (profile.p_on, profile.p_off) == (310.0, 111.0)
    assert "Begin again" in reader.post(path, step="idle").text
    assert reader.post(path, step="dance").status_code == 404


@pytest.mark.parametrize(
    ("idle", "run", "told"),
    [(2400.0, 40.0, "no more than while it idled"), (400.0, 420.0, "cannot tell them apart")],
)
def test_what_tells_nothing_apart_is_refused_in_words(desk: Desk, idle: float, run: float, told: str) -> None:
    device, key, _ = a_meter(desk)
    now = clock.now()
    says(desk, key, *((now - (400 - 10 * n) * SECOND, idle) for n in range(10)))
    says(desk, key, *((now - (200 - 10 * n) * SECOND, run) for n in range(10)))
    began(desk, device, now - 400 * SECOND, now - 205 * SECOND)
    page = shows(desk, device)
    assert told in page
    assert "Measure again" in page
    assert 'name="p_on"' not in page


def test_a_slow_reporter_is_told_how_long_it_takes(desk: Desk) -> None:
    device, key, _ = a_meter(desk)
    now = clock.now()
    says(desk, key, *((now - (5 - n) * 300 * SECOND, 40.0) for n in range(5)))
    page = shows(desk, device)
    assert "It takes 15 min" in page
    assert "reports every 5 min" in page
    with desk.database() as session:
        session.add(Measurement(device_id=device, idle_at=now - timedelta(days=2), run_at=None, saved_at=None))
        session.commit()
    assert "It takes 15 min" in shows(desk, device)  # what nobody came back to is forgotten


def test_a_meter_that_tells_its_state_needs_no_thresholds(desk: Desk) -> None:
    device, key, _ = a_meter(desk)
    with desk.database() as session:
        intake.store(session, [Envelope(f"d/{key}/t", b'{"st": "RUN"}', clock.now())])
        session.commit()
    assert "no thresholds are needed" in shows(desk, device)


def test_a_kind_that_was_chosen_wrongly_is_changed_and_the_key_stays(desk: Desk) -> None:
    device, key, _ = a_meter(desk, "tasmota")
    changed = desk.reader("technician").post(f"/desk/devices/{device}/connect", step="kind", family="shelly2").text
    assert "MQTT.SetConfig" in changed
    assert key in changed
    with desk.database() as session:
        assert devices.profile_of(session, device, at=clock.now()).family == "shelly2"
    assert desk.reader("technician").post(f"/desk/devices/{device}/connect", step="kind", family="x").status_code == 404


def test_a_lost_secret_is_replaced_on_the_way(desk: Desk) -> None:
    device, key, shown = a_meter(desk, "tasmota")
    first = re.search(r"MqttPassword (\S+);", shown)
    again = desk.reader("technician").post(f"/desk/devices/{device}/connect", step="secret").text
    second = re.search(r"MqttPassword (\S+);", again)
    assert first
    assert second
    assert second[1] not in (first[1], "SECRET")
    assert key in again


@pytest.mark.parametrize(("who", "status"), [("finance", 403), ("stranger", 404), ("customer", 404), ("evaluator", 404)])
def test_only_those_who_mind_the_devices_connect_them(desk: Desk, who: str, status: int) -> None:
    device, _, _ = a_meter(desk)
    reader = desk.reader(who)
    assert reader.get(f"/desk/devices/{device}/connect").status_code == status
    assert [reader.post(f"/desk/devices/{device}/connect", step=step).status_code for step in ("secret", "idle", "save")] == [
        status
    ] * 3


def test_a_meter_that_was_never_heard_does_not_borrow_the_state_of_another(desk: Desk) -> None:
    _, key, _ = a_meter(desk)
    silent, _, _ = a_meter(desk)
    now = clock.now()
    says(desk, key, *((now - (300 - 30 * n) * SECOND, 900.0) for n in range(11)))
    page = desk.reader("technician").get(f"/desk/resources/{desk.resource}/devices").text
    row = next(row for row in page.split("<tr>") if f'<th scope="row"><a href="/en/desk/devices/{silent}"' in row)
    assert "Never heard" in row
    assert page.count("is-in_use") == 1
    assert page.count("900 W") == 1
    heard = next(one for one in re.findall(r'data-live="(\w+)"', page) if one != silent)
    assert re.search(rf'class="badge is-never" data-live="{silent}"', page)
    assert re.search(rf'class="badge is-in_use" data-live="{heard}"', page)
    assert f'data-live-url="/en/live?meters={heard},{silent}"' in page
    own = desk.reader("technician").get(f"/desk/devices/{silent}").text
    assert f'class="badge is-never" data-live="{silent}"' in own
    assert f'data-live-url="/en/live?meters={silent}"' in own
    assert "is-in_use" not in own


def test_how_a_meter_does_is_on_its_page(desk: Desk) -> None:
    device, key, _ = a_meter(desk)
    now = clock.now()
    with desk.database() as session:
        devices.get_device(session, device).created_at = now - timedelta(hours=1)
        session.commit()
    says(desk, key, *((now - (6 - n) * 300 * SECOND, 40.0) for n in range(6)))
    page = desk.reader("technician").get(f"/desk/devices/{device}").text
    assert "It counts as silent too soon" in page
    assert "300 s" in page
    assert "750 s at least" in page
