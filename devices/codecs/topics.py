"""Patterns of topics with named parts: `{name}` stands within one level, `{name+}` for one level or several, `{name*}/` for any
number of levels, also none.

>>> matcher("{prefix+}/status/switch:{metric}").fullmatch("d/k1/status/switch:0")["metric"]
'0'
>>> [bool(matcher("{branch*}/tele/SENSOR").fullmatch(topic)) for topic in ("d/k1/tele/SENSOR", "tele/SENSOR", "xtele/SENSOR")]
[True, True, False]
"""

import re

LONGEST = 200
MOST_OPEN = 2
"""Parts whose end the pattern leaves open: each multiplies what is tried by 256, the characters of a topic; two take 1 ms."""

PART = re.compile(r"\{([a-z_]+)([+*]?)\}(/?)")


class BadPattern(ValueError):
    """A pattern that names a part twice, or none that can be."""


def matcher(pattern: str) -> re.Pattern[str]:
    """What `fullmatch`es the topics of a pattern. Raises: BadPattern."""
    if not 1 <= len(pattern) <= LONGEST:
        raise BadPattern(f"must have 1 to {LONGEST} characters")
    found, end, names = "", 0, set[str]()
    for part in PART.finditer(pattern):
        name, several, slash = part.groups()
        if name in names:
            raise BadPattern(f"names {name} twice")
        names.add(name)
        if several == "*" and not slash:
            raise BadPattern("{name*} is followed by a slash")
        inside = f"(?P<{name}>{'.+?' if several else '[^/]+'})"
        found += re.escape(pattern[end : part.start()]) + (f"(?:{inside}/)?" if several == "*" else inside + slash)
        end = part.end()
    if _open(pattern) > MOST_OPEN:
        raise BadPattern("leaves open where more than 2 of its parts end")
    rest = pattern[end:]
    if "{" in rest or "}" in rest or "+" in rest or "#" in rest:
        raise BadPattern("parts are written as {name}, {name+} or {name*}/")
    return re.compile(found + re.escape(rest))


def _open(pattern: str) -> int:
    """How many parts could end in several places: those of several levels, but at the end, and all but the first within a level.

    >>> _open("{prefix+}/{line}/{rest+}"), _open("{a}-{b}/{c}{d}")
    (1, 2)
    """
    found, level, begun = 0, -1, False
    for part in PART.finditer(pattern):
        here = pattern.count("/", 0, part.start())
        several, again = bool(part[2]) and part.end() < len(pattern), begun and here == level
        found += several or again
        level, begun = here, True
    return found
