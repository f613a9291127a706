"""The ingest loop as a process of its own, for tests that kill it: arguments are the addresses of broker and database."""

import sys
import time

from devices.ingest import Ingest
from devices.intake.actions import store_batch
from marketplace import clock
from marketplace.db import open_engine, open_sessions


def main(mqtt_url: str, database_url: str) -> None:
    sessions = open_sessions(open_engine(database_url))
    ingest = Ingest(mqtt_url)
    ingest.start()
    while True:
        batch = ingest.take(limit=100)
        if not batch:
            continue
        with sessions.begin() as session:
            store_batch(session, batch, now=clock.now())
        time.sleep(0.05)  # widens the window between commit and acknowledgement
        ingest.ack(batch)


if __name__ == "__main__":
    main(*sys.argv[1:])
