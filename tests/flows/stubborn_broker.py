"""`pilotbench broker` that is killed more often than it would bear: it never gives up, and comes back sooner.

`python stubborn_broker.py` has a keeper, `python stubborn_broker.py forgetful` has none.
"""

import sys

from devices.keeper import Keeper
from marketplace.settings import Settings
from web import brokering


class Forgetful(Keeper):
    """Hears nothing, and so tells nothing again."""

    def start(self, url: str) -> None: ...


def main() -> None:
    brokering.LOOK_S, brokering.STEADY_S, brokering.PAUSE_S = 0.05, 0.0, 0.05
    if sys.argv[1:] == ["forgetful"]:
        brokering.Keeper = Forgetful  # type: ignore[misc]
    brokering.run(Settings(), "127.0.0.1")


if __name__ == "__main__":
    main()
