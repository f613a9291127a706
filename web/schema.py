"""All floors' tables in one metadata, for engines, migrations and checks."""

import importlib
import pkgutil

from marketplace.db import Base

for floor in ("marketplace", "booking", "devices", "billing", "evaluation"):
    for room in pkgutil.walk_packages(importlib.import_module(floor).__path__, f"{floor}."):
        if room.name.endswith(".tables"):
            importlib.import_module(room.name)

METADATA = Base.metadata
