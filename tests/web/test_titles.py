"""Every refusal that reaches a person has a title of its own and a sentence that says what to do."""

import importlib
import pkgutil
from collections.abc import Iterator

import pytest

from marketplace.permissions import NotAllowed
from marketplace.refusals import Refusal, Refused
from web.refusals import NOT_ALLOWED, SENTENCES, TITLES, problem

PACKAGES = ("marketplace", "booking", "devices", "billing", "evaluation", "web")
TOLD_OTHERWISE = {
    "backup_unusable",
    "bad_database_url",
    "bad_recording",
    "broker_unavailable",
    "calendar_not_fetched",
    "file_unreadable",
    "folder_taken",
    "guard_missing",
    "malformed_scheme",
    "no_evidence",
    "pack_refused",
    "port_taken",
    "unknown_kind",
    "unknown_scheme",
    "wrong_hours",
}
"""On the command line, or beside the field that is wrong."""


def kinds(of: type[Refusal] = Refusal) -> Iterator[type[Refusal]]:
    for kind in of.__subclasses__():
        yield kind
        yield from kinds(kind)


def every_code() -> set[str]:
    for name in PACKAGES:
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            if ".versions." not in module.name:
                importlib.import_module(module.name)
    return {kind.code for kind in kinds() if kind is not Refused and not kind.__module__.startswith("tests")}


def test_each_has_a_title_and_a_sentence() -> None:
    codes = every_code() - TOLD_OTHERWISE
    assert codes - TITLES.keys() == set()
    assert codes - SENTENCES.keys() - {"refused_by_rules"} == set()
    assert TITLES.keys() - codes == {"slot_taken"}  # a SlotRefused that names what is taken


@pytest.mark.parametrize("action", sorted(NOT_ALLOWED))
def test_who_lacks_a_firm_is_not_told_of_roles(action: str) -> None:
    told = problem(NotAllowed(action=action))
    assert (told["code"], told["detail"]) == ("not_allowed", NOT_ALLOWED[action])
    assert "role" not in told["detail"]
