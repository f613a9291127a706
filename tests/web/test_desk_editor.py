"""The listing's editor: what it shows is what it stores."""

import re

from tests.web.desks import Desk, Reader, error_beside


def version_of(reader: Reader, page: str) -> str:
    return re.findall(r'name="version" value="(\d+)"', reader.get(page).text)[0]


def test_the_editor_keeps_line_buffers_and_the_day_of_commissioning(desk: Desk) -> None:
    line = desk.list_machine()
    reader = desk.reader("manager")
    page = f"/desk/resources/{desk.resource}"
    kept = {"name": "粉碎机", "kind": "small_line", "price": "540", "capacity": "1", "hours": "keep"}
    more = {"commissioned_on": "2021-05-09", "parent_id": line, "buffer_mode": "max"}
    assert reader.post(page, version=version_of(reader, page), **kept, **more).status_code == 200
    shown = reader.get(page).text
    assert 'value="2021-05-09"' in shown
    for chosen in (line, "max"):
        assert f'<option value="{chosen}" selected>' in shown
    other = reader.get(f"/desk/resources/{line}").text
    assert f'value="{desk.resource}"' not in other
    looped = reader.post(
        f"/desk/resources/{line}", version=version_of(reader, f"/desk/resources/{line}"), **kept, parent_id=desk.resource
    )
    assert looped.status_code == 422
    assert "is a part of this machine itself" in error_beside(looped.text, "parent_id")
