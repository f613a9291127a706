"""Something that listens for the provider's webhooks."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer


@contextmanager
def listening(keep: Callable[[str, bytes], None]) -> Iterator[str]:
    """Its address; `keep` gets the signature and the body of every delivery before it is answered."""

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            keep(self.headers["stripe-signature"], self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()
