"""The product's command line with its one clock moved: the offset in seconds is read from a file each time.

`python moved_clock.py FILE serve ...` is `pilotbench serve ...` at another time of day; nothing else differs.
"""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from marketplace import clock

OFFSET = Path(sys.argv.pop(1))


def moved() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=float(OFFSET.read_text() or 0))


clock.now = moved

from web.cli import main  # noqa: E402 - after the clock, which some defaults take at import

main()
