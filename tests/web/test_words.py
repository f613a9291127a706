"""Every sentence of the pages exists in Chinese, and keeps its placeholders."""

import re
from pathlib import Path

from babel.messages.catalog import Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

WEB = Path(__file__).resolve().parents[2] / "web"
METHODS = [("**.py", "python"), ("templates/**.html", "jinja2")]
OPTIONS = {
    "templates/**.html": {
        "silent": "false",
        "trimmed": "true",
        "newstyle_gettext": "true",
        "extensions": "jinja2.ext.do",
    }
}
HELD = re.compile(r"%\(\w+\)s|\{\w*\}")


def sentences() -> set[str]:
    """Everything that pages, labels and refusals say."""
    found = extract_from_dir(WEB, METHODS, OPTIONS, strip_comment_tags=True)
    return {text[0] if isinstance(text, tuple) else text for _, _, text, _, _ in found}


def chinese() -> dict[str, Message]:
    with (WEB / "locale/zh/LC_MESSAGES/messages.po").open("rb") as file:
        return {
            message.id[0] if isinstance(message.id, tuple) else message.id: message for message in read_po(file) if message.id
        }


def test_every_sentence_exists_in_chinese() -> None:
    said, known = sentences(), chinese()
    assert len(said) > 400
    assert sorted(text for text in said if text not in known or not known[text].string or known[text].fuzzy) == []


def test_chinese_keeps_the_placeholders() -> None:
    wrong = []
    for text, message in chinese().items():
        told = message.string if isinstance(message.string, str) else message.string[0]
        if set(HELD.findall(text)) != set(HELD.findall(told)):
            wrong.append(text)
    assert wrong == []
