"""All floors' tables in one metadata, for engines, migrations and checks."""

import billing.tables
import booking.tables
import devices.tables
import evaluation.tables
import marketplace.tables
from marketplace.db import Base

FLOORS = (marketplace.tables, booking.tables, devices.tables, billing.tables, evaluation.tables)
METADATA = Base.metadata
