"""Documents as PDF, made by a process of their own: what lays them out is big, and reads nothing but what it is given."""

import subprocess
import sys
from threading import BoundedSemaphore

import structlog

from marketplace.refusals import Busy, Refusal

log = structlog.get_logger()
AT_ONCE = BoundedSemaphore(2)
PATIENCE_S, LAID_OUT_S = 1, 30
"""Until one's turn comes, for who waits keeps a thread from everybody; and for one document: 1,000 statements take some 10 s."""


class NoPaper(Refusal):
    """This machine cannot lay out a PDF, or not this one."""

    code = "no_paper"


def pdf(html: str) -> bytes:
    """Raises: Busy (others are being made), NoPaper."""
    if not AT_ONCE.acquire(timeout=PATIENCE_S):
        raise Busy()
    try:
        command = [sys.executable, "-m", "web.paper_maker"]
        done = subprocess.run(command, input=html.encode(), capture_output=True, check=False, timeout=LAID_OUT_S)
    except subprocess.TimeoutExpired as error:
        raise NoPaper() from error
    finally:
        AT_ONCE.release()
    if done.returncode or not done.stdout.startswith(b"%PDF-"):
        log.warning("no_paper", code=done.returncode, said=done.stderr.decode(errors="replace")[-500:])
        raise NoPaper()
    return done.stdout
