"""Meters of one machine and line: one behind another, chosen and shown; a line that its stations' meters tell of."""

import re

from marketplace.tables import Resource
from tests.web.desks import Desk, error_beside
from tests.web.test_desk_device import a_device
from tests.web.test_desk_reading import DISCOVERED


def chosen(page: str, field: str) -> str:
    """What the select of that name shows."""
    options = re.search(rf'<select[^>]* name="{field}".*?</select>', page, re.DOTALL)
    assert options
    found = re.search(r'value="(\w*)" selected>([^<]+)<', options[0])
    return found[2] if found else ""


def test_a_meter_is_put_behind_the_machines_main_meter(desk: Desk) -> None:
    main, _ = a_device(desk)
    reader, path = desk.reader("technician"), f"/desk/resources/{desk.resource}/devices"
    made = reader.post(path, name="箱体插座", family="native", measured_by=main).text
    found = re.search(r'/desk/devices/(\w+)"', made)
    assert found
    plug = found[1]
    assert "part of 主电源" in reader.get(path).text
    page = reader.get(f"/desk/devices/{plug}").text
    assert chosen(page, "measured_by") == "主电源"
    assert "It measures a part of what 主电源 does." in page
    assert f'measured by: <a href="/en/desk/devices/{plug}">箱体插座</a>' in reader.get(f"/desk/devices/{main}").text
    freed = reader.post(f"/desk/devices/{plug}/main-meter", measured_by="").text
    assert "The main meter is set from now on" in freed
    assert chosen(freed, "measured_by") == ""
    assert "part of 主电源" not in reader.get(path).text
    reader.post(f"/desk/devices/{plug}/main-meter", measured_by=main)
    assert "总表" in reader.get(f"/desk/devices/{plug}", lang="zh").text
    assert 'name="measured_by"' not in reader.get(f"/desk/devices/{main}").text


def test_a_meter_that_cannot_be_the_main_one_is_refused_at_its_field(desk: Desk) -> None:
    main, _ = a_device(desk)
    reader, path = desk.reader("manager"), f"/desk/resources/{desk.resource}"
    plug, _ = a_device(desk)
    reader.post(f"/desk/devices/{plug}/main-meter", measured_by=main)
    wrong = reader.post(f"/desk/devices/{main}/main-meter", measured_by=plug)
    assert wrong.status_code == 422
    assert "part of what this one measures" in error_beside(wrong.text, "measured_by")
    for fields, name in (
        ({"name": "表", "measured_by": "dev_none"}, "measured_by"),
        ({"meter": "表", "main": "dev_none"}, "main"),
    ):
        form = "devices" if name == "measured_by" else "discovery"
        answer = reader.post(f"{path}/{form}", family="native", discovery=DISCOVERED, **fields)
        assert answer.status_code == 422
        assert "no other meter of this equipment" in error_beside(answer.text, name)
    assert len(re.findall(r'/desk/devices/dev_\w+"', reader.get(f"{path}/devices").text)) >= 2


def test_the_only_meter_of_a_machine_is_asked_for_no_main_one(desk: Desk) -> None:
    other = desk.list_machine()
    reader = desk.reader("manager")
    assert "Main meter" not in reader.get(f"/desk/resources/{other}/devices").text
    device, _ = a_device(desk, other)
    assert "Main meter" not in reader.get(f"/desk/devices/{device}").text
    assert "Main meter" in reader.get(f"/desk/resources/{other}/devices").text


def test_a_line_that_its_stations_tell_of_is_asked_for_no_meter(desk: Desk) -> None:
    station, reader = desk.list_machine(), desk.reader("manager")
    with desk.database() as session:
        session.get_one(Resource, station).parent_id = desk.resource
        session.commit()
    link = re.compile(rf'/desk/resources/{desk.resource}/devices">([^<]+)<')
    assert link.findall(reader.get("/desk").text) == ["connect one"]
    device, _ = a_device(desk, station)
    assert link.findall(reader.get("/desk").text) == ["1 on its stations"]
    assert link.findall(reader.get("/desk", lang="zh").text) == ["工位上 1 只"]
    page = reader.get(f"/desk/resources/{desk.resource}/devices").text
    assert f'tell of it: <a href="/en/desk/resources/{station}/devices">' in page
    assert "No meter connected" not in page
    a_device(desk)
    assert link.findall(reader.get("/desk").text) == ["1 · 1 on its stations"]
    reader.post(f"/desk/devices/{device}/revoke")
    assert link.findall(reader.get("/desk").text) == ["1"]
