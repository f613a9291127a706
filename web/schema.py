"""All floors' tables in one metadata, for engines, migrations and checks."""

import importlib
import importlib.util

from marketplace.db import Base

ROOMS = ("marketplace.inbox", "marketplace.feeds", "marketplace.weeks", "booking.external")

for floor in ("marketplace", *ROOMS, "booking", "devices", "billing", "evaluation"):
    if importlib.util.find_spec(f"{floor}.tables"):
        importlib.import_module(f"{floor}.tables")

METADATA = Base.metadata
