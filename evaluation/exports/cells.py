"""Makes a cell safe: a spreadsheet must never take text of ours for a formula."""

import re

RISKY = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
NUMBER = re.compile(r"-?\d+(\.\d+)?")


def safe(text: str) -> str:
    """Text that a spreadsheet would run gets an apostrophe in front; plain numbers stay numbers.

    >>> safe("=1+1"), safe("-3.5"), safe("机构")
    ("'=1+1", '-3.5', '机构')
    """
    return f"'{text}" if text.startswith(RISKY) and not NUMBER.fullmatch(text) else text
