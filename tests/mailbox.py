"""A real SMTP server on loopback that keeps what it is sent, and a reader of the calendars that come with letters."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage


@dataclass
class Mailbox:
    """The letters in the order they came; `turned_away` addresses are refused, an offered TLS fails when it is asked for."""

    port: int = 0
    letters: list[EmailMessage] = field(default_factory=list)
    turned_away: set[str] = field(default_factory=set)
    offers_tls: bool = False
    verbs: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def take(self) -> list[EmailMessage]:
        """What came since the last time."""
        found, self.letters = self.letters, []
        return found


class Talk(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as a sender of letters needs."""

    def handle(self) -> None:
        box: Mailbox = self.server.box  # type: ignore[attr-defined]
        self.say("220 mailbox")
        while line := self.rfile.readline().decode().strip():
            verb = line[:4].upper()
            box.verbs.append(verb)
            if verb == "QUIT":
                self.say("221 bye")
                return
            if verb == "RCPT" and any(address in line for address in box.turned_away):
                self.say("550 no such person")
            elif verb == "EHLO" and box.offers_tls:
                self.say("250-mailbox\r\n250 STARTTLS")
            elif verb == "STAR":
                self.say("454 not now")
            elif verb == "DATA":
                self.say("354 go on")
                box.letters.append(self.letter())
                self.say("250 kept")
            else:
                self.say("250 mailbox")

    def say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())

    def letter(self) -> EmailMessage:
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line[1:] if line.startswith(b"..") else line)
        return message_from_bytes(b"".join(lines), _class=EmailMessage, policy=policy.default)


@contextmanager
def a_mailbox() -> Iterator[Mailbox]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Talk) as server:
        server.daemon_threads = True
        server.box = box = Mailbox(server.server_address[1])  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield box
        server.shutdown()
        thread.join(5)


def text_of(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def calendar_of(mail: EmailMessage) -> bytes | None:
    """The attached calendar as it was sent."""
    for part in mail.iter_attachments():
        if part.get_content_type() == "text/calendar":
            content = part.get_payload(decode=True)
            assert isinstance(content, bytes)
            return content
    return None


def events_of(content: bytes) -> list[dict[str, str]]:
    """The properties of each event of a calendar, unfolded and unescaped; what is not RFC 5545 is an error of the test."""
    text = content.decode()
    assert text.endswith("\r\n")
    assert all(len(line.encode()) <= 75 for line in text.split("\r\n"))
    assert "\n" not in text.replace("\r\n", "")
    found: list[dict[str, str]] = []
    for line in text.replace("\r\n ", "").split("\r\n"):
        name, _, value = line.partition(":")
        if line == "BEGIN:VEVENT":
            found.append({})
        elif found and name != "END":
            plain = value.replace("\\n", "\n").replace("\\,", ",").replace("\\;", ";").replace("\\\\", "\\")
            found[-1][name.split(";")[0]] = plain
    return found
