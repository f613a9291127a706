"""On the answer to a refused form, the other language and the other appearance lead to a page, not to a form's address."""

import re

import pytest

from tests.web.desks import Desk


@pytest.mark.parametrize("path", ["/desk/new", "/desk/resources/{resource}/policy", "/desk/resources/{resource}/publish"])
def test_the_other_language_of_a_refused_form_can_be_read(desk: Desk, path: str) -> None:
    reader, address = desk.reader("manager"), path.format(resource=desk.list_machine())
    refused = reader.post(address, institution_id=desk.house)
    assert refused.status_code >= 400
    [other] = set(re.findall(r'<link rel="alternate" hreflang="zh-CN" href="([^"]+)"', refused.text))
    following = re.findall(r'name="next" value="([^"]+)"', refused.text)[0]
    assert reader.client.get(other).status_code == reader.client.get(following).status_code == 200


def test_a_page_that_is_read_keeps_its_address_and_its_query(desk: Desk) -> None:
    page = desk.reader("manager").get("/search?q=xrd")
    assert 'hreflang="zh-CN" href="/zh/search?q=xrd"' in page.text
