"""Letters sent by SMTP; without an SMTP server messages stay in the app."""

import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from urllib.parse import unquote, urlsplit

from marketplace.settings import Settings
from web.calendar import Method

TIMEOUT_S = 20
"""How long one answer of the server is waited for."""

SENDING = timedelta(minutes=2)
"""Longer than one letter takes: six answers of a slow server."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A calendar that goes with a letter and what it asks of the reader's."""

    content: bytes
    method: Method


@dataclass(frozen=True, slots=True)
class Letter:
    """A message ready to be sent."""

    message_id: str
    to: str
    subject: str
    text: str
    calendars: Sequence[Attachment] = ()


class Post:
    """Sends letters by the SMTP server of the settings; without one, a letter counts as sent by being in the app."""

    def __init__(self, settings: Settings) -> None:
        self.base_url = settings.base_url.rstrip("/")
        self._url = urlsplit(settings.smtp_url.get_secret_value())
        self._from = settings.smtp_from

    @property
    def address(self) -> str:
        """The sender's bare address."""
        return parseaddr(self._from)[1]

    def send(self, one: Letter, *, now: datetime) -> None:
        """Encrypted where the server offers it. Raises: SMTPException, OSError, ValueError (no such address or subject)."""
        if not self._url.hostname:
            return
        mail = self._written(one, now)
        with smtplib.SMTP(self._url.hostname, self._url.port or 25, timeout=TIMEOUT_S) as server:
            server.ehlo()  # what the server can do is known only after it
            if server.has_extn("starttls"):
                server.starttls(context=ssl.create_default_context())
            if self._url.username:
                server.login(unquote(self._url.username), unquote(self._url.password or ""))
            server.send_message(mail)

    def _written(self, one: Letter, now: datetime) -> EmailMessage:
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = self._from, one.to, " ".join(one.subject.split())
        mail["Date"] = format_datetime(now)
        mail["Message-ID"] = f"<{one.message_id}@pilotbench>"
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: holiday answers stay away
        mail.set_content(one.text)
        for number, calendar in enumerate(one.calendars, start=1):
            kind = {"method": calendar.method.value, "charset": "utf-8"}
            name = "booking.ics" if number == 1 else f"booking-{number}.ics"
            mail.add_attachment(calendar.content, "text", "calendar", params=kind, filename=name)
        return mail
