"""`python -m web.paper_maker`: an HTML document on standard input to a PDF on standard output, within bounds.

Its own process keeps half a second of imports out of every command, and a document that takes too much ends this one alone.
"""

import resource
import sys

from weasyprint import HTML
from weasyprint.urls import URLFetcher

MEMORY = 1 << 30
CPU_S = 60


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    made = HTML(string=sys.stdin.buffer.read().decode(), url_fetcher=URLFetcher(allowed_protocols=())).write_pdf()
    sys.stdout.buffer.write(made)


if __name__ == "__main__":
    main()
