"""All floors' tables in one metadata, for engines, migrations and checks."""

import importlib
import importlib.util

from marketplace.db import Base

for floor in ("marketplace", "marketplace.inbox", "marketplace.feeds", "booking", "devices", "billing", "evaluation"):
    if importlib.util.find_spec(f"{floor}.tables"):
        importlib.import_module(f"{floor}.tables")

METADATA = Base.metadata
