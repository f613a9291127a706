"""The names of time zones that may be kept: they mean the same on every machine."""

from functools import cache
from importlib.resources import files

MARKER = "Factory"
"""Stands for a machine whose zone nobody has set."""


@cache
def zone_names() -> frozenset[str]:
    """Those of the IANA database proper; a machine's own folder also holds names such as `localtime`.

    >>> "Asia/Shanghai" in zone_names(), "localtime" in zone_names(), "posix/Asia/Shanghai" in zone_names()
    (True, False, False)
    """
    return frozenset(files("tzdata").joinpath("zones").read_text(encoding="utf-8").split()) - {MARKER}
